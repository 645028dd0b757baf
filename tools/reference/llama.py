"""A plain Llama in float32 that shows its keys, values and queries, and answers from any subset of its rows."""
import json
import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F


@dataclass(eq=False)
class Dense:
    """A prompt that was read in full; L layers, H KV heads, G query heads a KV head, N rows."""
    keys: torch.Tensor  # [L, H, N, d], rotated
    values: torch.Tensor  # [L, H, N, d]
    queries: torch.Tensor  # [L, H, G, N, d], rotated
    attention_sums: torch.Tensor  # [L, H, N]: attention of all queries, mean of the group, divided by N
    logits: torch.Tensor  # [vocabulary], after the last row

    @property
    def length(self):
        return self.keys.shape[2]


class Llama:
    def __init__(self, directory):
        with open(os.path.join(directory, "model.json")) as file:
            description = json.load(file)
        field = lambda name, otherwise=None: description["metadata"].get("llama." + name, otherwise)
        self.layers = field("block_count")
        self.heads = field("attention.head_count")
        self.kv_heads = field("attention.head_count_kv")
        self.head_size = field("attention.key_length", field("embedding_length") // self.heads)
        self.epsilon = field("attention.layer_norm_rms_epsilon")
        self.base = field("rope.freq_base")
        self.end_tokens = set(description["endTokens"])
        self.vocabulary = [bytes.fromhex(text) for text in description["vocabulary"]]
        weights = torch.from_numpy(np.fromfile(os.path.join(directory, "weights.f32"), np.float32))
        self.weights, at = {}, 0
        for tensor in description["tensors"]:
            count = int(np.prod(tensor["shape"]))
            self.weights[tensor["name"]] = weights[at:at + count].view(*tensor["shape"])
            at += count

    def text(self, tokens):
        return b"".join(self.vocabulary[token] for token in tokens).decode("utf-8", "replace")

    def rotations(self, first, count):
        pairs = torch.arange(self.head_size // 2, dtype=torch.float64)
        angles = torch.arange(first, first + count)[:, None] * self.base ** (-2 * pairs / self.head_size)
        return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)

    def rotate(self, x, rotations):
        """x [..., rows, d]: neighbouring dimensions (2i, 2i + 1) make a pair, as in GGUF's Llama."""
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * rotations).flatten(-2)

    def run(self, tokens, first, attend):
        """Logits [batch, rows, vocabulary] of tokens [batch, rows] whose first has position `first`.

        attend(layer, queries [batch, heads, rows, d], keys, values [batch, KV heads, rows, d]) -> [batch, heads, rows, d]
        """
        w = self.weights
        batch, rows = tokens.shape
        rotations = self.rotations(first, rows)
        norm = lambda x, name: F.rms_norm(x, x.shape[-1:], w[name], self.epsilon)
        split = lambda y: y.view(batch, rows, -1, self.head_size).transpose(1, 2)
        x = w["token_embd.weight"][tokens]
        for layer in range(self.layers):
            name = f"blk.{layer}."
            h = norm(x, name + "attn_norm.weight")
            q = self.rotate(split(h @ w[name + "attn_q.weight"].T), rotations)
            k = self.rotate(split(h @ w[name + "attn_k.weight"].T), rotations)
            v = split(h @ w[name + "attn_v.weight"].T)
            a = attend(layer, q, k, v)
            x = x + a.transpose(1, 2).reshape(batch, rows, -1) @ w[name + "attn_output.weight"].T
            h = norm(x, name + "ffn_norm.weight")
            x = x + (F.silu(h @ w[name + "ffn_gate.weight"].T) * (h @ w[name + "ffn_up.weight"].T)) @ w[name + "ffn_down.weight"].T
        return norm(x, "output_norm.weight") @ w.get("output.weight", w["token_embd.weight"]).T

    @torch.no_grad()
    def prefill(self, prompt, tile=256):
        rows = len(prompt)
        kept = {"keys": [], "values": [], "queries": [], "sums": []}

        def attend(layer, q, k, v):
            grouped = q[0].unflatten(0, (self.kv_heads, -1))  # [H, G, N, d]
            out, sums = torch.empty_like(grouped), torch.zeros(self.kv_heads, rows)
            for start in range(0, rows, tile):
                end = min(start + tile, rows)
                scores = grouped[:, :, start:end] @ k[0, :, None, :end].transpose(-1, -2) * self.head_size ** -0.5
                future = torch.arange(end) > torch.arange(start, end)[:, None]
                attention = scores.masked_fill(future, -torch.inf).softmax(-1)
                sums[:, :end] += attention.sum(2).mean(1)
                out[:, :, start:end] = attention @ v[0, :, None, :end]
            kept["keys"].append(k[0])
            kept["values"].append(v[0])
            kept["queries"].append(grouped)
            kept["sums"].append(sums / rows)
            return out.flatten(0, 1)[None]

        logits = self.run(torch.tensor([prompt]), 0, attend)[0, -1]
        return Dense(*(torch.stack(kept[name]) for name in kept), logits)

    @torch.no_grad()
    def caches(self, dense, visible, room):
        """Caches of the rows that are visible [P, L, H, N] (bool) to P policies, with room for more: per layer keys and
        values [P, H, rows, d] and whether a row holds anything [P, H, rows]."""
        caches = []
        for layer in range(self.layers):
            mask = visible[:, layer]
            count = int(mask.sum(-1).max())
            # Visible rows first, in order.
            index = torch.argsort(mask.to(torch.uint8), dim=-1, descending=True, stable=True)[..., :count]
            heads = torch.arange(self.kv_heads)[None, :, None]
            pad = lambda x: F.pad(x[layer][heads, index], (0, 0, 0, room))
            caches.append([pad(dense.keys), pad(dense.values), F.pad(mask.gather(-1, index), (0, room)), count])
        return caches

    @torch.no_grad()
    def continue_(self, caches, tokens, first):
        """Logits [P, rows, vocabulary] of tokens [P, rows] after the caches, which grow by them."""
        rows = tokens.shape[1]

        def attend(layer, q, k, v):
            keys, values, filled, count = caches[layer]
            end = count + rows
            keys[:, :, count:end], values[:, :, count:end], filled[:, :, count:end] = k, v, True
            caches[layer][3] = end
            grouped = q.unflatten(1, (self.kv_heads, -1))
            scores = grouped @ keys[:, :, None, :end].transpose(-1, -2) * self.head_size ** -0.5
            hidden = ~filled[:, :, None, None, :end] | (torch.arange(end) > torch.arange(count, end)[:, None])
            return (scores.masked_fill(hidden, -torch.inf).softmax(-1) @ values[:, :, None, :end]).flatten(1, 2)

        return self.run(tokens, first, attend)

    @torch.no_grad()
    def answer(self, dense, visible, limit):
        """Greedy answers of P policies, each without the token that ended it."""
        caches = self.caches(dense, visible, limit)
        count = visible.shape[0]
        token = dense.logits.argmax().expand(count)
        answers, ended = [[] for _ in range(count)], [False] * count
        for step in range(limit):
            for policy in range(count):
                ended[policy] = ended[policy] or int(token[policy]) in self.end_tokens
                if not ended[policy]:
                    answers[policy].append(int(token[policy]))
            if all(ended) or step + 1 == limit:
                break
            token = self.continue_(caches, token[:, None], dense.length + step)[:, -1].argmax(-1)
        return answers
