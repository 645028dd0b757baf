"""Makes of a GGUF file of the Llama family what transformers.js loads: an ONNX model with a KV cache, its products in 8 bits.

    python onnx_export.py MODEL.gguf OUTPUT_DIRECTORY

There is no tokenizer in it: prompts are token ids. Needs torch, onnx, onnxruntime and gguf from PyPI.
"""
import json
import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

model_path, output = sys.argv[1], Path(sys.argv[2])
reader = GGUFReader(model_path)


def metadata(name):
    return reader.get_field(f"llama.{name}").contents()


hidden = metadata("embedding_length")
layer_count = metadata("block_count")
heads = metadata("attention.head_count")
kv_heads = metadata("attention.head_count_kv")
epsilon = metadata("attention.layer_norm_rms_epsilon")
base = metadata("rope.freq_base")
context = metadata("context_length")
head_size = hidden // heads
weights = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()).float() for t in reader.tensors}


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, cosine, sine):
    """GGUF files of this family pair neighbours."""
    pairs = x.reshape(x.shape[0], x.shape[1], x.shape[2], head_size // 2, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1).reshape(x.shape)


class Layer(nn.Module):
    def __init__(self, index):
        super().__init__()
        take = lambda name: nn.Parameter(weights[f"blk.{index}.{name}.weight"], requires_grad=False)
        # Turned, so that the product is a MatMul with its matrix as it lies, which can be quantised.
        turned = lambda name: nn.Parameter(take(name).T.contiguous(), requires_grad=False)
        self.attention_norm, self.feed_forward_norm = take("attn_norm"), take("ffn_norm")
        self.q, self.k, self.v, self.o = (turned(f"attn_{name}") for name in ("q", "k", "v", "output"))
        self.gate, self.up, self.down = (turned(f"ffn_{name}") for name in ("gate", "up", "down"))

    def forward(self, x, cosine, sine, mask, past_key, past_value):
        batch, rows, _ = x.shape
        split = lambda y, count: y.reshape(batch, rows, count, head_size).transpose(1, 2)
        normed = norm(x, self.attention_norm)
        query = rotate(split(normed @ self.q, heads), cosine, sine)
        key = torch.cat((past_key, rotate(split(normed @ self.k, kv_heads), cosine, sine)), 2)
        value = torch.cat((past_value, split(normed @ self.v, kv_heads)), 2)
        grouped = query.reshape(batch, kv_heads, heads // kv_heads * rows, head_size)
        scores = grouped @ key.transpose(2, 3) / head_size**0.5
        scores = scores.reshape(batch, kv_heads, heads // kv_heads, rows, -1) + mask
        paid = torch.softmax(scores, -1).reshape(batch, kv_heads, heads // kv_heads * rows, -1)
        attended = (paid @ value).reshape(batch, heads, rows, head_size).transpose(1, 2).reshape(batch, rows, hidden)
        x = x + attended @ self.o
        normed = norm(x, self.feed_forward_norm)
        return x + (nn.functional.silu(normed @ self.gate) * (normed @ self.up)) @ self.down, key, value


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Parameter(weights["token_embd.weight"], requires_grad=False)
        self.output = nn.Parameter(weights.get("output.weight", weights["token_embd.weight"]).T.contiguous(), False)
        self.norm = nn.Parameter(weights["output_norm.weight"], requires_grad=False)
        self.layers = nn.ModuleList(Layer(i) for i in range(layer_count))
        self.register_buffer("frequencies", base ** (-torch.arange(0, head_size, 2).float() / head_size))

    def forward(self, input_ids, attention_mask, position_ids, *past):
        x = self.embedding[input_ids]
        angles = (position_ids[..., None].float() * self.frequencies)[:, None]
        cosine, sine = angles.cos(), angles.sin()
        rows, length = input_ids.shape[1], attention_mask.shape[1]
        columns = torch.arange(length)[None, :]
        ahead = columns > torch.arange(rows)[:, None] + (length - rows)
        hidden_rows = ahead[None] | (attention_mask[:, None, :] == 0)
        mask = hidden_rows.float()[:, None, None] * -1e9
        present = []
        for i, layer in enumerate(self.layers):
            x, key, value = layer(x, cosine, sine, mask, past[2 * i], past[2 * i + 1])
            present += [key, value]
        return (norm(x[:, -1:], self.norm) @ self.output, *present)


with torch.no_grad():
    model = Model().eval()
    names = [f"{i}.{kind}" for i in range(layer_count) for kind in ("key", "value")]
    batch, rows, before = 2, 3, 5
    example = (
        torch.ones(batch, rows, dtype=torch.int64),
        torch.ones(batch, before + rows, dtype=torch.int64),
        torch.arange(before, before + rows).expand(batch, rows),
        *(torch.zeros(batch, kv_heads, before, head_size) for _ in names),
    )
    axes = {"input_ids": {0: "batch", 1: "rows"}, "position_ids": {0: "batch", 1: "rows"}}
    axes["attention_mask"] = {0: "batch", 1: "length"}
    axes["logits"] = {0: "batch"}
    axes |= {f"past_key_values.{name}": {0: "batch", 2: "before"} for name in names}
    axes |= {f"present.{name}": {0: "batch", 2: "length"} for name in names}
    (output / "onnx").mkdir(parents=True, exist_ok=True)
    exact = output / "onnx" / "model.onnx"
    torch.onnx.export(
        model,
        example,
        exact,
        input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{name}" for name in names)],
        output_names=["logits", *(f"present.{name}" for name in names)],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
quantize_dynamic(exact, output / "onnx" / "model_quantized.onnx", weight_type=QuantType.QInt8)
configuration = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": hidden,
    "num_hidden_layers": layer_count,
    "num_attention_heads": heads,
    "num_key_value_heads": kv_heads,
    "head_dim": head_size,
    "max_position_embeddings": context,
    "vocab_size": weights["token_embd.weight"].shape[0],
}
(output / "config.json").write_text(json.dumps(configuration))
(output / "generation_config.json").write_text(json.dumps({}))
