"""KV cache policies as plain functions: which rows of a prompt each layer and KV head keeps.

A policy scores the rows before the window, [L, H, N - w], decides how many each layer, or each head of each layer, keeps of
them, [L, H], and takes the best. `budget` is the mean number of rows per layer, window included.
"""
import math

import torch
import torch.nn.functional as F

BLOCK_ROWS = 16


def window_attention(dense, window):
    """Attention [L, H, G, w, N] of the last `window` queries."""
    q = dense.queries[:, :, :, -window:]
    scores = q @ dense.keys[:, :, None].transpose(-1, -2) * q.shape[-1] ** -0.5
    future = torch.arange(dense.length) > torch.arange(dense.length - window, dense.length)[:, None]
    return scores.masked_fill(future, -torch.inf).softmax(-1)


def pooled(scores, kind, kernel):
    """Pools along the rows; an average counts the zero padding at the ends, a maximum does not."""
    pool = F.avg_pool1d if kind == "average" else F.max_pool1d
    return pool(scores.flatten(0, 1), kernel, 1, kernel // 2).view_as(scores)


def snapkv_scores(dense, window, kind="maximum", kernel=7):
    attention = window_attention(dense, window)[..., :dense.length - window]
    return pooled(attention.sum(3).mean(2), kind, kernel)


def cake_scores(dense, window, kernel=5, gamma=200):
    attention = window_attention(dense, window)[..., :dense.length - window]
    variance = attention.var(3) if window > 1 else 0
    return pooled((attention.mean(3) + gamma * variance).mean(2), "average", kernel)


def lava_scores(dense, window, kernel=7):
    """Pooled window attention times the largest L1 norm of a head's values, the maximum of the group."""
    attention = window_attention(dense, window)[..., :dense.length - window].mean(3)
    attention = pooled(attention.flatten(1, 2), "maximum", kernel).view_as(attention)
    return attention.amax(2) * dense.values.abs().sum(-1).amax(-1)[..., None]


def read_ahead(scores, decay=0.9, reach=32, sinks=4):
    """Scores spread over the rows that follow, but for those of the first rows."""
    spread = scores.clone()
    spread[..., :sinks] = 0
    weights = decay ** torch.arange(reach, -1, -1.0)
    ahead = (F.pad(spread, (reach, 0)).unfold(-1, reach + 1, 1) * weights).sum(-1)
    ahead[..., :sinks] = scores[..., :sinks]
    return ahead


def lookup_scores(dense, ahead, lookups, sinks=4):
    """What the best rows' own queries look for among the other rows before the window, [L, H, n]."""
    rows = ahead.shape[-1]
    best = ahead.topk(lookups)
    group = dense.queries.shape[2]
    q = dense.queries.gather(3, best.indices[:, :, None, :, None].expand(-1, -1, group, -1, dense.queries.shape[-1]))
    scores = q @ dense.keys[:, :, None, :rows].transpose(-1, -2) * q.shape[-1] ** -0.5
    is_best = torch.zeros_like(ahead, dtype=torch.bool).scatter_(-1, best.indices, True)
    attention = scores.masked_fill(is_best[:, :, None, None], -torch.inf).softmax(-1)
    weights = best.values * (best.indices >= sinks)
    return (attention * weights[:, :, None, :, None]).amax((2, 3))


def readahead_scores(dense, window, lookups, decay=0.9):
    attention = window_attention(dense, window)[..., :dense.length - window]
    scores = attention.sum(3).mean(2)
    if lookups:
        lookups = min(lookups, scores.shape[-1] - 1)
        scores = scores + lookup_scores(dense, read_ahead(scores, decay), lookups)
    return read_ahead(scores, decay)


def take(scores, rows, window, length):
    """Visible rows [L, H, N]: the best rows [L, H] of each head, and the window."""
    order = scores.argsort(dim=-1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(-1, order, torch.arange(order.shape[-1]).expand_as(order).contiguous())
    visible = torch.ones(*scores.shape[:2], length, dtype=torch.bool)
    visible[..., :length - window] = ranks < rows[..., None]
    return visible


def per_layer(rows, heads):
    return torch.as_tensor(rows)[:, None].expand(-1, heads)


def share(total, caps, floors, rank):
    """Rows of each layer: block by block, the next to the layer whose block's middle row ranks lowest; floors first."""
    rows = [0] * len(caps)
    end = lambda i: floors[i] if rows[i] < floors[i] else (rows[i] // BLOCK_ROWS + 1) * BLOCK_ROWS
    place = lambda i: (-math.inf if rows[i] < floors[i] else rank(i, (rows[i] + end(i)) / 2), rows[i])
    left = total
    while left > 0 and any(rows[i] < caps[i] for i in range(len(caps))):
        best = min((i for i in range(len(caps)) if rows[i] < caps[i]), key=place)
        granted = min(end(best), caps[best], rows[best] + left) - rows[best]
        rows[best] += granted
        left -= granted
    return rows


def dynamickv_rows(scores, base, maximum_ratio=5, floor=0.1):
    """Ebb's mended sharing among all layers at once: whole blocks, by the exact scores."""
    layers, heads, rows = scores.shape
    total = base * layers
    cap = min(math.floor(maximum_ratio * base), total, rows)
    floor_rows = min(max(1, math.floor(floor * base / BLOCK_ROWS + 0.5) * BLOCK_ROWS), base)
    ordered = scores.flatten(1).sort(-1, descending=True).values.tolist()
    rank = lambda layer, row: -ordered[layer][min(int(row * heads), heads * rows - 1)]
    return share(total, [cap] * layers, [floor_rows] * layers, rank)


def published_dynamickv_rows(scores, base, maximum_ratio=10, interval=4):
    """The released rule; layers are cut every `interval` layers, and never grow again."""
    layers, heads, rows = scores.shape
    cap = min(math.floor(maximum_ratio * base), rows)
    held = []
    for layer in range(layers):
        held.append(cap)
        seen = layer + 1
        if seen % interval and seen < layers:
            continue
        top = scores[:seen].flatten().topk(min(base * heads * seen, scores[:seen].numel())).indices // (heads * rows)
        counts = [int(count) // seen for count in torch.bincount(top, minlength=seen)]
        if seen == layers:
            counts[-1] += base * heads - sum(counts)
        ratio = lambda a, b: a // b if b else 0
        shares = [ratio(cap * count, sum(counts)) for count in counts]
        budgets = [ratio(part * base * layers, sum(shares)) for part in shares]
        budgets[-1] += base * layers - sum(budgets)
        held = [min(budget, old) for budget, old in zip(budgets, held)]
    return held


def pyramid_rows(layers, base, scored, beta=20):
    first = min(2 * base - base / beta, scored)
    step = 2 * (first - base) / (layers - 1)
    before = lambda layer: layer * first - step * layer * (layer - 1) / 2
    # Halves round up, as in JavaScript.
    whole = lambda x: math.floor(x + 0.5)
    return [whole(before(layer + 1)) - whole(before(layer)) for layer in range(layers)]


def proportional(weights, total, cap):
    """Rows in proportion to weights, largest remainders first, within a cap; what a full layer cannot take goes to the others."""
    rows, open_, left = [0] * len(weights), list(range(len(weights))), total
    while open_ and left > 0:
        sum_ = sum(weights[i] for i in open_)
        parts = {i: left * weights[i] / sum_ for i in open_}
        full = [i for i in open_ if parts[i] >= cap]
        if not full:
            for i in open_:
                rows[i] = math.floor(parts[i])
            for i in sorted(open_, key=lambda i: -(parts[i] % 1))[:left - sum(rows[i] for i in open_)]:
                rows[i] += 1
            break
        for i in full:
            rows[i], left = cap, left - cap
        open_ = [i for i in open_ if i not in full]
    return rows


def head_rows(scores, totals, floor=0.0):
    """Rows [L, H] of the heads of layers that have `totals` rows in all: `floor` of them evenly, the others as a head has
    scores among the layer's best."""
    layers, heads, rows = scores.shape
    result = torch.zeros(layers, heads, dtype=torch.long)
    for layer, total in enumerate(totals):
        best = scores[layer].flatten().topk(total).indices // rows
        counts = torch.bincount(best, minlength=heads).tolist()
        shares = [(1 - floor) * count + floor * total / heads for count in counts]
        result[layer] = torch.tensor(proportional(shares, total, rows))
    return result


def window_of(rows, budget):
    return max(1, min(rows, budget // 2))


def streaming(dense, budget, sinks=4):
    scored = dense.length - 1
    rows = max(1, budget - 1)
    score = torch.arange(scored).float()
    score[:sinks] = torch.arange(2 * dense.length, 2 * dense.length - sinks, -1)
    layers, heads = dense.keys.shape[:2]
    return take(score.expand(layers, heads, scored), torch.full((layers, heads), rows), 1, dense.length)


def h2o(dense, budget):
    window = max(1, min(budget // 2, budget - 1))
    layers, heads = dense.keys.shape[:2]
    rows = torch.full((layers, heads), max(1, budget - window))
    return take(dense.attention_sums[..., :dense.length - window], rows, window, dense.length)


def _budgeted(score, allot):
    def policy(dense, budget):
        window, scores = score(dense, budget)
        base = max(1, budget - window)
        if scores.shape[-1] <= base:
            return torch.ones(*dense.keys.shape[:3], dtype=torch.bool)
        return take(scores, allot(scores, base, dense, window), window, dense.length)
    return policy


def _snapkv(dense, budget):
    w = window_of(32, budget)
    return w, snapkv_scores(dense, w)


def _pyramidkv(dense, budget):
    return 8, snapkv_scores(dense, 8)


def _dynamickv(dense, budget):
    return 8, snapkv_scores(dense, 8, "average")


def _readahead(dense, budget):
    w = max(1, min(8, budget // 4))
    return w, readahead_scores(dense, w, min(32, math.ceil(max(1, budget - w) / 2)))


def _lava(dense, budget):
    w = window_of(32, budget)
    return w, lava_scores(dense, w)


def _cake(dense, budget):
    w = window_of(32, budget)
    return w, cake_scores(dense, w)


def cake_preferences(dense, window):
    attention = window_attention(dense, window)[..., :dense.length - window]
    entropy = -(attention * attention.clamp_min(1e-37).log()).sum((1, 2, 3, 4))
    variance = attention.var(3).sum((1, 2, 3)) if window > 1 else torch.ones(dense.keys.shape[0])
    return (entropy * variance).tolist()


def entropy_weights(scores):
    p = scores.flatten(1)
    p = p / p.sum(-1, keepdim=True)
    return (-(p * p.clamp_min(1e-37).log()).sum(-1)).tolist()


POLICIES = {
    "streaming": streaming,
    "h2o": h2o,
    "snapkv": _budgeted(_snapkv, lambda s, base, *_: torch.full(s.shape[:2], base)),
    "pyramidkv": _budgeted(_pyramidkv, lambda s, base, *_: per_layer(pyramid_rows(s.shape[0], base, s.shape[2]), s.shape[1])),
    "dynamickv": _budgeted(_dynamickv, lambda s, base, *_: per_layer(dynamickv_rows(s, base), s.shape[1])),
    "dynamickv published": _budgeted(
        _dynamickv, lambda s, base, *_: per_layer(published_dynamickv_rows(s, base), s.shape[1])),
    "readahead": _budgeted(_readahead, lambda s, base, *_: per_layer(dynamickv_rows(s, base), s.shape[1])),
    "adakv": _budgeted(_snapkv, lambda s, base, *_: head_rows(s, [base * s.shape[1]] * s.shape[0], 0.2)),
    "cake": _budgeted(_cake, lambda s, base, dense, w: per_layer(
        proportional(cake_preferences(dense, w), base * s.shape[0], s.shape[2]), s.shape[1])),
    "lava": _budgeted(_lava, lambda s, base, *_: head_rows(
        s, proportional(entropy_weights(s), base * s.shape[0] * s.shape[1], s.shape[1] * s.shape[2]))),
}
