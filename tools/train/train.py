"""Trains the embedded model: a Llama of a few million parameters, on the token shards that write_shard.ts writes.

    python tools/train/train.py --work DIR --config cpu --stages STEPS=NAME:LENGTH,NAME:LENGTH ...

Checkpoints go to DIR/checkpoint.pt and training goes on from there, at the step of the schedule that it had reached;
DIR/log.csv holds the losses. The architecture is plain Llama (RMSNorm, interleaved RoPE, grouped-query attention, SwiGLU,
tied embeddings), so that any engine runs it.
"""
import argparse
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    vocabulary: int = 2048
    width: int = 128
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 64
    hidden: int = 256
    # With this base the slower half of each head's rotations stays below one radian over 4,096 positions, so that
    # content can be matched at any distance, also at lengths beyond those of training.
    rope_base: float = 1e8
    context: int = 8192


CONFIGS = {
    "cpu": Config(),
    "gpu": Config(width=320, layers=8, heads=8, kv_heads=2, hidden=768),
}

# Weight in the loss of each kind of token (write_shard.ts, KIND); each kind is averaged by itself.
KIND_WEIGHTS = {1: 0.15, 2: 1.0, 3: 0.4, 4: 0.5}


def rope_tables(config, length, device):
    """Rotations as complex numbers [length, 1, head_size / 2]."""
    pairs = torch.arange(config.head_size // 2, dtype=torch.float64)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * config.rope_base ** (-2 * pairs / config.head_size)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64).unsqueeze(1).to(device)


def rotate(x, rotations):
    """Rotates neighbouring dimensions (2i, 2i + 1) of x [batch, length, heads, head_size]: GGUF's order for Llama."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotations).flatten(-2).to(x.dtype)


def attend(q, k, v):
    """Causal attention; q [batch, heads, length, head_size], k and v with fewer heads."""
    group = q.shape[1] // k.shape[1]
    if q.device.type == "cpu" and q.shape[2] <= 640:
        # PyTorch's fused kernel is slow on a CPU for short rows.
        batch, heads, length, size = q.shape
        q = q.reshape(batch, heads // group, group * length, size)
        scores = (q @ k.transpose(-1, -2)).view(batch, heads, length, length) * size ** -0.5
        mask = torch.full((length, length), -1e9, dtype=scores.dtype).triu_(1)
        weights = (scores + mask).softmax(-1).to(v.dtype)
        return (weights.view(batch, heads // group, group * length, length) @ v).view(batch, heads, length, size)
    return F.scaled_dot_product_attention(
        q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), is_causal=True)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.attention_norm = nn.Parameter(torch.ones(c.width))
        self.query = nn.Linear(c.width, c.heads * c.head_size, bias=False)
        self.key = nn.Linear(c.width, c.kv_heads * c.head_size, bias=False)
        self.value = nn.Linear(c.width, c.kv_heads * c.head_size, bias=False)
        self.output = nn.Linear(c.heads * c.head_size, c.width, bias=False)
        self.mlp_norm = nn.Parameter(torch.ones(c.width))
        self.gate = nn.Linear(c.width, c.hidden, bias=False)
        self.up = nn.Linear(c.width, c.hidden, bias=False)
        self.down = nn.Linear(c.hidden, c.width, bias=False)

    def forward(self, x, rotations):
        c = self.config
        batch, length, _ = x.shape
        h = F.rms_norm(x, (c.width,), self.attention_norm.to(x.dtype), 1e-5)
        split = lambda y, heads: y.view(batch, length, heads, c.head_size)
        q = rotate(split(self.query(h), c.heads), rotations).transpose(1, 2)
        k = rotate(split(self.key(h), c.kv_heads), rotations).transpose(1, 2)
        a = attend(q, k, split(self.value(h), c.kv_heads).transpose(1, 2))
        x = x + self.output(a.transpose(1, 2).reshape(batch, length, -1))
        h = F.rms_norm(x, (c.width,), self.mlp_norm.to(x.dtype), 1e-5)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.embedding = nn.Parameter(torch.randn(c.vocabulary, c.width) * c.width ** -0.5)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = nn.Parameter(torch.ones(c.width))
        for layer in self.layers:
            for matrix in (layer.query, layer.key, layer.value, layer.gate, layer.up):
                nn.init.normal_(matrix.weight, std=c.width ** -0.5)
            for matrix in (layer.output, layer.down):
                nn.init.zeros_(matrix.weight)
        plant_induction(self)

    def hidden(self, tokens):
        rotations = rope_tables(self.config, tokens.shape[1], tokens.device)
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = layer(x, rotations)
        return F.rms_norm(x, (self.config.width,), self.norm, 1e-5)

    def forward(self, tokens):
        return self.hidden(tokens) @ self.embedding.T


@torch.no_grad()
def plant_induction(model):
    """Starts the model off with heads that find earlier occurrences of the last tokens and copy what followed them.

    Left to chance, such heads take 8 M tokens and more to appear; planted, training only refines them. Dimension 0 of
    every embedding is constant; the token's own random code e lies in `code` dimensions. The heads of layer 0 look 1, 2,
    3 and 4 tokens back and sum s_t = sum_j G^j e_(t-j) into the remaining dimensions (G a random rotation). A head of
    layers 1 and 2 matches G (e_t + s_t) of the query, the last four tokens, with s of the key, the four tokens before it,
    in the slowly rotating dimensions, and copies the key's own e into the prediction.
    """
    c = model.config
    generator = torch.Generator().manual_seed(1)
    code = min(c.head_size, c.width // 2)
    size = min(code, c.width - 1 - code)
    sums = slice(1 + code, 1 + code + size)
    model.embedding.zero_()
    model.embedding[:, 0] = 1.0
    model.embedding[:, 1:1 + code] = torch.randn(c.vocabulary, code, generator=generator) * code ** -0.5
    rotation, _ = torch.linalg.qr(torch.randn(code, code, generator=generator))
    power = lambda j: torch.linalg.matrix_power(rotation, j)[:size]
    group = c.heads // c.kv_heads
    frequencies = c.rope_base ** (-2 * torch.arange(c.head_size // 2) / c.head_size)

    first = model.layers[0]
    scale = (c.width / 2) ** 0.5  # what the norm multiplies by: the residual has norm sqrt(1 + 1)
    first.query.weight.zero_(), first.key.weight.zero_(), first.value.weight.zero_()
    fast = frequencies > 0.01
    for kv in range(c.kv_heads):
        base = kv * c.head_size
        first.key.weight[base:base + c.head_size:2, 0] = torch.where(fast, 2.0, 0.0) / scale * 2
        first.value.weight[base:base + code, 1:1 + code] = torch.eye(code) / scale
    offsets = 4
    for head in range(min(c.heads, offsets)):
        base = head * c.head_size
        back = head + 1
        amplitude = torch.where(fast, 12.0, 0.0) / scale * 2
        # Rotated by the query's position, this query points where the key `back` positions earlier points.
        first.query.weight[base:base + c.head_size:2, 0] = amplitude * torch.cos(-back * frequencies)
        first.query.weight[base + 1:base + c.head_size:2, 0] = amplitude * torch.sin(-back * frequencies)
        first.output.weight[sums, base:base + code] = 0.85 ** (back - 1) * power(back)

    slow = (frequencies < 3e-4).nonzero().flatten()
    dimensions = torch.stack((2 * slow, 2 * slow + 1), 1).flatten()
    scale = (c.width / 4.6) ** 0.5  # 1 + 1 + (1 + 0.72 + 0.52 + 0.38)
    for layer in model.layers[1:3]:
        for kv in range(c.kv_heads):
            projection = torch.randn(len(dimensions), size, generator=generator) * len(dimensions) ** -0.5
            key = layer.key.weight[kv * c.head_size:(kv + 1) * c.head_size]
            key.zero_()
            key[dimensions, sums] = projection / scale
            value = layer.value.weight[kv * c.head_size:(kv + 1) * c.head_size]
            value.zero_()
            value[:code, 1:1 + code] = torch.eye(code) / scale
            head = kv * group
            query = layer.query.weight[head * c.head_size:(head + 1) * c.head_size]
            query.zero_()
            gain = 5 * c.head_size ** 0.5
            query[dimensions, 1:1 + code] = gain * projection @ power(1) / scale
            # s holds only `size` dimensions of G^j e; turning it once more is exact but for those left out.
            query[dimensions, sums] = gain * projection @ (0.85 * rotation[:size, :size]) / scale
            layer.output.weight[1:1 + code, head * c.head_size:head * c.head_size + code] = 1.0 * torch.eye(code)


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix (Jordan et al. 2024, Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    transposed = x.shape[0] > x.shape[1]
    x = x.T if transposed else x
    for _ in range(steps):
        y = x @ x.T
        x = a * x + (b * y + c * y @ y) @ x
    return x.T if transposed else x


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates, for the matrices of the layers."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("buffer", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalise(p.grad.lerp(buffer, group["momentum"]))
                p.add_(update, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def loss_of(model, tokens, kinds, autocast):
    """Weighted loss and the plain losses and accuracies by kind; tokens, kinds [batch, length + 1]."""
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=autocast):
        h = model.hidden(tokens[:, :-1])
        wanted = kinds[:, 1:].flatten()
        # A quarter of the documents' tokens is enough to learn from, and spares time.
        kept = ((wanted > 1) | (wanted == 1) & (torch.rand(wanted.shape, device=wanted.device) < 0.25)).nonzero().flatten()
        targets, kept_kinds = tokens[:, 1:].flatten()[kept], kinds[:, 1:].flatten()[kept]
        logits = h.flatten(0, 1)[kept] @ model.embedding.T
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    total, report = 0.0, {}
    for kind, weight in KIND_WEIGHTS.items():
        mask = kept_kinds == kind
        if mask.any():
            mean = losses[mask].mean()
            total = total + weight * mean
            report[kind] = (mean.item(), (logits[mask].argmax(-1) == targets[mask]).float().mean().item())
    return total, report


def load(path, length):
    shape = (-1, length + 1)
    return (np.memmap(path + ".tokens", np.uint16, "r").reshape(shape),
            np.memmap(path + ".kinds", np.uint8, "r").reshape(shape))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--config", choices=CONFIGS, default="cpu")
    parser.add_argument("--stages", nargs="+", required=True,
                        help="STEPS=NAME:LENGTH,NAME:LENGTH, in order; the steps of a stage take its shards in turn")
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--decay-steps", type=int, default=0, help="last steps, over which the rate falls to nothing")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-autocast", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Model(CONFIGS[arguments.config]).to(device)
    matrices = [p for layer in model.layers for p in layer.parameters() if p.dim() == 2]
    others = [model.embedding, model.norm] + [p for layer in model.layers for p in layer.parameters() if p.dim() == 1]
    muon = Muon(matrices, lr=arguments.lr)
    adam = torch.optim.Adam(others, lr=arguments.lr * 0.3, betas=(0.9, 0.98))
    state = {"step": 0, "tokens": 0, "seconds": 0.0}
    checkpoint = os.path.join(arguments.work, "checkpoint.pt")
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint, map_location=device)
        model.load_state_dict(saved["model"])
        muon.load_state_dict(saved["muon"])
        adam.load_state_dict(saved["adam"])
        state = saved["state"]
    print("parameters", sum(p.numel() for p in model.parameters()), "state", state, flush=True)

    def save():
        torch.save({"model": model.state_dict(), "muon": muon.state_dict(), "adam": adam.state_dict(), "state": state,
                    "config": asdict(model.config)}, checkpoint + ".new")
        os.replace(checkpoint + ".new", checkpoint)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    stages = []
    for stage in arguments.stages:
        steps, shards = stage.split("=")
        stages.append((int(steps), [(name, int(length)) for name, length in (s.split(":") for s in shards.split(","))]))
    total_steps = sum(steps for steps, _ in stages)
    log = open(os.path.join(arguments.work, "log.csv"), "a", buffering=1)
    last_save = time.time()
    end = 0
    for steps, shards in stages:
        start, end = end, end + steps
        if state["step"] >= end:
            continue
        loaded = []
        for name, length in shards:
            rows, kinds = load(os.path.join(arguments.work, "shards", name), length)
            loaded.append((length, rows, kinds, np.random.default_rng(start).permutation(len(rows))))
        for i in range(state["step"] - start, steps):
            began = time.time()
            length, rows, kinds, order = loaded[i % len(loaded)]
            batch = max(1, arguments.batch_tokens // length)
            chosen = [order[(i // len(loaded) * batch + j) % len(order)] for j in range(batch)]
            x = torch.from_numpy(rows[chosen].astype(np.int64)).to(device)
            y = torch.from_numpy(kinds[chosen].astype(np.int64)).to(device)
            left = total_steps - state["step"]
            rate = arguments.lr * min(1, (state["step"] + 1) / 20)
            if left < arguments.decay_steps:
                rate *= left / arguments.decay_steps
            for optimiser, factor in ((muon, 1), (adam, 0.3)):
                for group in optimiser.param_groups:
                    group["lr"] = rate * factor
            loss, report = loss_of(model, x, y, not arguments.no_autocast)
            loss.backward()
            muon.step()
            adam.step()
            model.zero_grad(set_to_none=True)
            state["step"] += 1
            state["tokens"] += batch * length
            seconds = time.time() - began
            state["seconds"] += seconds
            columns = [state["step"], state["tokens"], length, f"{state['seconds']:.1f}"]
            for kind in KIND_WEIGHTS:
                columns += [f"{v:.4f}" for v in report[kind]] if kind in report else ["", ""]
            log.write(",".join(map(str, columns)) + "\n")
            if state["step"] % 10 == 0:
                print(columns, f"{batch * length / seconds:.0f} tokens/s", flush=True)
            if time.time() - last_save > 120 or stop:
                save()
                last_save = time.time()
            if stop:
                sys.exit(f"Stopped after step {state['step']} of {total_steps}; start again to go on")
    save()


if __name__ == "__main__":
    main()
