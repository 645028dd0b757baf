"""What each part of the policy rehearsal is worth where a document is compressed without its question: docs/policies.md.

    python tools/reference/rehearsal.py DIRECTORY LENGTH SAMPLES SHARE

DIRECTORY is what write_inputs.ts wrote. Prints, for each variant, the average score over the families, in per cent, and the mean
divergence from the full cache over its answers, in nats. KVzip's way (arXiv 2505.23416) reads the document twice, without its words
between.
"""
import json
import os
import sys
from statistics import fmean

import torch
import torch.nn.functional as F

from ablation import scores_of
from llama import Llama
from policies import head_rows, snapkv_scores, take, uniform

WINDOW = 8
DISTANCE = 64


def chunks_of(length, most):
    """First row, end and first row that is scored of each chunk: the last one reaches back over rows of the one before it."""
    rows = min(length, most)
    return [(min(start, length - rows), min(start + rows, length), start) for start in range(0, length, rows)]


def rehearsal(model, dense, most=512, sees_before=True, step=1, total="maximum"):
    """[L, H, N]: what the queries of each chunk pay to its rows, asked again behind its end beside what they saw before."""
    scores = torch.zeros_like(dense.keys[..., 0])
    for layer in range(model.layers):
        for start, end, scored in chunks_of(dense.length, most):
            rows = torch.arange(0, end - start, step)
            queries = dense.queries[layer, :, :, start:end][:, :, rows]
            keys = dense.keys[layer, :, None, start:end].transpose(-1, -2) * model.head_size ** -0.5
            turns = model.rotations(0, end - start + DISTANCE + 1)[end - start + DISTANCE - rows]
            logits = model.rotate(queries, turns) @ keys
            if sees_before:
                before = (queries @ keys).masked_fill(torch.arange(end - start) > rows[:, None], -torch.inf)
                logits = torch.cat([logits, before], -1)
            paid = logits.softmax(-1)[..., :end - start]
            paid = paid.amax((1, 2)) if total == "maximum" else paid.sum((1, 2))
            scores[layer, :, scored:end] = paid[:, scored - start:]
    return scores


def read_twice(model, document):
    """KVzip's scores: the most that any query of the second reading pays to a row of the first."""
    dense, length = model.prefill(document + document), len(document)
    scores = torch.zeros_like(dense.keys[..., :length, 0])
    for layer in range(model.layers):
        for start in range(length, 2 * length, 256):
            end = min(start + 256, 2 * length)
            logits = dense.queries[layer, :, :, start:end] @ dense.keys[layer, :, None, :end].transpose(-1, -2)
            future = torch.arange(end) > torch.arange(start, end)[:, None]
            paid = (logits * model.head_size ** -0.5).masked_fill(future, -torch.inf).softmax(-1)
            scores[layer] = torch.maximum(scores[layer], paid[..., :length].amax((1, 2)))
    return scores


def key_differences(dense):
    directions = F.normalize(dense.keys, dim=-1)
    return 1 - (directions * F.normalize(directions.mean(2, keepdim=True), dim=-1)).sum(-1)


def all_compete(scores, base):
    """Rows [L, H] by one threshold for the heads of all layers."""
    best = scores.flatten().topk(base * scores.shape[0] * scores.shape[1]).indices // scores.shape[2]
    return torch.bincount(best, minlength=scores.shape[0] * scores.shape[1]).view(scores.shape[:2])


def within_layers(scores, base):
    return head_rows(scores, [base * scores.shape[1]] * scores.shape[0], 0.2)


def variants(model, dense, document):
    own = rehearsal(model, dense)
    return {
        "rehearsal": (own, all_compete),
        "KVzip, the document read twice": (read_twice(model, document), all_compete),
        "the whole document at once": (rehearsal(model, dense, dense.length), all_compete),
        "chunks of 256": (rehearsal(model, dense, 256), all_compete),
        "chunks of 128": (rehearsal(model, dense, 128), all_compete),
        "chunks of 64": (rehearsal(model, dense, 64), all_compete),
        "without the rows seen before": (rehearsal(model, dense, sees_before=False), all_compete),
        "asked by every second row": (rehearsal(model, dense, step=2), all_compete),
        "the sum": (rehearsal(model, dense, total="sum"), all_compete),
        "heads compete in a layer only": (own, within_layers),
        "the same for all heads": (own, uniform),
        "keydiff": (key_differences(dense), uniform),
        "snapkv": (F.pad(snapkv_scores(dense, 32), (0, 32 - WINDOW)), uniform),
    }


@torch.no_grad()
def asked(model, dense, visible, question, answer=None, limit=0):
    """Log-probabilities of an answer behind the question for each cache, or, of the first cache, the answer."""
    caches = model.caches(dense, visible, len(question) + max(limit, len(answer or [])))
    fed = torch.tensor([question + (answer or [])] * len(visible))
    logits = model.continue_(caches, fed, dense.length)[:, len(question) - 1:]
    if answer is not None:
        return logits.log_softmax(-1)
    tokens = []
    for place in range(limit):
        token = int(logits[0, -1].argmax())
        if token in model.end_tokens:
            break
        tokens.append(token)
        logits = model.continue_(caches, torch.tensor([[token]]), dense.length + len(question) + place)
    return tokens


def main():
    directory, length, samples, share = sys.argv[1:]
    torch.set_num_threads(1)
    model = Llama(directory)
    with open(os.path.join(directory, f"questions-{length}.json")) as file:
        questions = [q for q in json.load(file) if q["index"] < int(samples)]
    scores, divergences = {}, {}
    for question in questions:
        place, limit = question["documentTokens"], question["maxTokens"]
        document, tail = question["prompt"][:place], question["prompt"][place:]
        dense = model.prefill(document)
        base = max(1, round(place * float(share)) - WINDOW)
        rows = {name: take(s[..., :place - WINDOW], allot(s[..., :place - WINDOW], base), WINDOW, place)
                for name, (s, allot) in variants(model, dense, document).items()}
        visible = torch.stack([torch.ones_like(dense.keys[..., 0], dtype=torch.bool), *rows.values()])
        answers = [asked(model, dense, one[None], tail, limit=limit) for one in visible]
        told = asked(model, dense, visible, tail, answers[0])
        replies = [{**question, "prompt": None, "reply": question["answerPrefix"] + model.text(a)} for a in answers]
        for name, score, own in zip(["full", *rows], scores_of(replies), told):
            scores.setdefault(name, {}).setdefault(question["family"], []).append(score)
            divergence = (told[0].exp() * (told[0] - own)).sum(-1).mean()
            divergences.setdefault(name, []).append(float(divergence))
        print(question["family"], question["index"], file=sys.stderr, flush=True)
    print("| | score | KL |\n| --- | --- | --- |")
    for name, families in scores.items():
        print(f"| {name} | {fmean(map(fmean, families.values())):.1f} | {fmean(divergences[name]):.3f} |")


if __name__ == "__main__":
    main()
