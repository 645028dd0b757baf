"""Writes the weights of a checkpoint as plain float32, for export.ts.

    python tools/train/dump_weights.py DIR/checkpoint.pt DIR/weights

`DIR/weights.f32` holds the tensors one after the other, `DIR/weights.json` the configuration, training state, names (as
GGUF calls them) and shapes.
"""
import json
import sys

import torch

NAMES = {"attention_norm": "attn_norm.weight", "query.weight": "attn_q.weight", "key.weight": "attn_k.weight",
         "value.weight": "attn_v.weight", "output.weight": "attn_output.weight", "mlp_norm": "ffn_norm.weight",
         "gate.weight": "ffn_gate.weight", "up.weight": "ffn_up.weight", "down.weight": "ffn_down.weight"}


def gguf_name(name):
    if name in ("embedding", "norm"):
        return {"embedding": "token_embd.weight", "norm": "output_norm.weight"}[name]
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{NAMES[rest]}"


def main():
    source, target = sys.argv[1:]
    saved = torch.load(source, map_location="cpu")
    tensors = []
    with open(target + ".f32", "wb") as out:
        for name, value in saved["model"].items():
            out.write(value.float().contiguous().numpy().tobytes())
            tensors.append({"name": gguf_name(name), "shape": list(value.shape)})
    with open(target + ".json", "w") as out:
        json.dump({"config": saved["config"], "state": saved["state"], "tensors": tensors}, out)


if __name__ == "__main__":
    main()
