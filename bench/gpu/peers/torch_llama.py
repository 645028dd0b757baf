"""A Llama of the same shape in PyTorch, in bf16: python3 torch_llama.py '{"shape": ..., "prompts": [...], ...}'

Greedy decoding with a static cache, eager and compiled, and prefill. Weights are random and live on the GPU; nothing but
torch is needed. A line of JSON on standard output for every measurement: what takes longest, compiling, comes last.
"""

import json
import os
import sys
import threading
import time

task = json.loads(sys.argv[1])
begun = time.monotonic()


def say(**line):
    print(json.dumps(line), flush=True)


def remaining():
    return task["seconds"] - (time.monotonic() - begun)


def end_with_parent():
    """Ends this process when the one that started it has gone."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


threading.Thread(target=end_with_parent, daemon=True).start()

import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

device = "cuda" if torch.cuda.is_available() else "cpu"
if device == "cpu" and not task.get("cpu"):
    sys.exit("This PyTorch sees no GPU")
versions = {"torch": torch.__version__, "device": "cpu"}
if device == "cuda":
    versions.update(cuda=str(torch.version.cuda), device=torch.cuda.get_device_name(0))
say(versions=versions)

shape = task["shape"]
LAYERS, HIDDEN, FEED_FORWARD = shape["layers"], shape["hiddenSize"], shape["feedForwardSize"]
QUERY_HEADS, KV_HEADS, HEAD = shape["queryHeads"], shape["kvHeads"], shape["headSize"]
GROUP = QUERY_HEADS // KV_HEADS
torch.set_default_dtype(torch.bfloat16)
torch.set_grad_enabled(False)
torch.manual_seed(1)


def matrix(rows, columns):
    layer = nn.Linear(columns, rows, bias=False, device=device)
    nn.init.normal_(layer.weight, std=columns**-0.5)
    return layer


def rotate(x, cosines, sines):
    """x [batch, heads, rows, HEAD]; cosines, sines [rows, HEAD]: the second half of a head pairs with the first."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm = nn.RMSNorm(HIDDEN, eps=1e-5, device=device)
        self.query_key_value = matrix((QUERY_HEADS + 2 * KV_HEADS) * HEAD, HIDDEN)
        self.output = matrix(HIDDEN, QUERY_HEADS * HEAD)
        self.feed_forward_norm = nn.RMSNorm(HIDDEN, eps=1e-5, device=device)
        self.gate_up = matrix(2 * FEED_FORWARD, HIDDEN)
        self.down = matrix(HIDDEN, FEED_FORWARD)

    def make_cache(self, batch, rows):
        # Buffers of the module: what is compiled takes their addresses for fixed.
        size = (batch, KV_HEADS, rows, HEAD)
        self.register_buffer("keys", torch.zeros(size, device=device), persistent=False)
        self.register_buffer("values", torch.zeros(size, device=device), persistent=False)

    def forward(self, x, position, cosines, sines, mask):
        batch, rows, _ = x.shape
        q, k, v = self.query_key_value(self.attention_norm(x)).split(
            [QUERY_HEADS * HEAD, KV_HEADS * HEAD, KV_HEADS * HEAD], dim=-1
        )
        q = rotate(q.view(batch, rows, QUERY_HEADS, HEAD).transpose(1, 2), cosines, sines)
        k = rotate(k.view(batch, rows, KV_HEADS, HEAD).transpose(1, 2), cosines, sines)
        v = v.view(batch, rows, KV_HEADS, HEAD).transpose(1, 2)
        self.keys.index_copy_(2, position, k)
        self.values.index_copy_(2, position, v)
        if mask is None:
            # A whole prompt.
            attended = F.scaled_dot_product_attention(
                q, k.repeat_interleave(GROUP, dim=1), v.repeat_interleave(GROUP, dim=1), is_causal=True
            )
        else:
            # One token: the query heads of a group are rows that see the same keys, which are read once.
            q = q.reshape(batch, KV_HEADS, GROUP, HEAD)
            attended = F.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=mask)
            attended = attended.reshape(batch, QUERY_HEADS, 1, HEAD)
        x = x + self.output(attended.transpose(1, 2).reshape(batch, rows, QUERY_HEADS * HEAD))
        gate, up = self.gate_up(self.feed_forward_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(shape["vocabulary"], HIDDEN, device=device)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(HIDDEN, eps=1e-5, device=device)
        self.logits = matrix(shape["vocabulary"], HIDDEN)

    def make_cache(self, batch, rows):
        for layer in self.layers:
            layer.make_cache(batch, rows)
        frequencies = shape["ropeBase"] ** (-torch.arange(0, HEAD, 2, dtype=torch.float32, device=device) / HEAD)
        angles = torch.outer(torch.arange(rows, dtype=torch.float32, device=device), frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cosines", angles.cos().to(torch.bfloat16), persistent=False)
        self.register_buffer("sines", angles.sin().to(torch.bfloat16), persistent=False)
        self.register_buffer("places", torch.arange(rows, device=device), persistent=False)

    def forward(self, tokens, position, whole):
        """tokens [batch, rows]; position [rows]; returns the next token of every sequence, [batch, 1]."""
        mask = None if whole else (self.places <= position).view(1, 1, 1, -1)
        cosines, sines = self.cosines[position], self.sines[position]
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, position, cosines, sines, mask)
        return self.logits(self.norm(x[:, -1:])).argmax(dim=-1)


def synchronise():
    if device == "cuda":
        torch.cuda.synchronize()


def measure_prefill(model, tokens, is_warm_up=False):
    model.make_cache(1, tokens)
    prompt = torch.arange(tokens, device=device).remainder(shape["vocabulary"]).view(1, -1)
    position = torch.arange(tokens, device=device)
    best = None
    for _ in range(3):
        synchronise()
        start = time.perf_counter()
        model(prompt, position, True)
        synchronise()
        seconds = time.perf_counter() - start
        best = seconds if best is None else min(best, seconds)
        if remaining() < 5:
            break
    if not is_warm_up:
        say(run=dict(mode="eager", kind="prefill", streams=1, promptTokens=tokens, tokensPerSecond=tokens / best))


def measure_decode(model, step, mode, streams, rows):
    count = task["decodeTokens"]
    model.make_cache(streams, rows + count + 8)
    token = torch.full((streams, 1), 5, device=device)
    position = torch.full((1,), rows, device=device)
    # What is compiled or captured is compiled and captured here.
    for _ in range(4):
        token = step(token, position, False).clone()
        position += 1
    synchronise()
    start = time.perf_counter()
    for _ in range(count):
        token = step(token, position, False).clone()
        position += 1
        position.clamp_(max=rows + count + 7)
    synchronise()
    seconds = time.perf_counter() - start
    say(run=dict(mode=mode, kind="decode", streams=streams, promptTokens=rows, tokensPerSecond=streams * count / seconds))


def guarded(action, *arguments):
    try:
        action(*arguments)
    except Exception as error:  # Such as memory that does not suffice: what follows may still do.
        say(note=f"{action.__name__}{arguments[2:]}: {type(error).__name__}: {str(error)[:300]}")
        if device == "cuda":
            torch.cuda.empty_cache()


model = Llama().eval()
synchronise()
guarded(measure_prefill, model, min(64, task["prompts"][0]), True)
for tokens in task["prompts"]:
    if remaining() > 5:
        guarded(measure_prefill, model, tokens)
for rows in task["decodePrompts"]:
    for streams in task["streams"]:
        if remaining() > 5:
            guarded(measure_decode, model, model, "eager", streams, rows)
for rows in task["decodePrompts"]:
    for streams in (task["streams"][0], task["streams"][-1]):
        # On a CPU it would take longer than all else.
        if device == "cuda" and remaining() > 20:
            torch._dynamo.reset()
            compiled = torch.compile(model, mode="reduce-overhead", fullgraph=True, dynamic=False)
            guarded(measure_decode, model, compiled, "compiled", streams, rows)
os._exit(0)
