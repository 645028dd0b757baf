"""What each part of the policy readahead is worth, on our task families: the table of docs/policies.md.

    python tools/reference/ablation.py DIRECTORY LENGTH SAMPLES

DIRECTORY is what write_inputs.ts wrote. Prints, for each policy and budget, the average score over the families, in per
cent, and what it differs from that of readahead by, with the standard error of the difference. Takes ten seconds a
question.
"""
import functools
import json
import os
import subprocess
import sys
from statistics import fmean, variance

import torch

from compare import rows_of
from llama import Llama
from policies import (POLICIES, budgeted, competing, dynamickv_rows, head_rows, pooled, read_ahead, readahead,
                      snapkv_scores, uniform)

BUDGETS = ["0.9%", "1.7%", "6.9%"]

average_of_7 = lambda scores: pooled(scores, "average", 7)
decaying = lambda decay: functools.partial(read_ahead, decay=decay)
wide = lambda kernel: lambda dense, _: (8, snapkv_scores(dense, 8, "average", kernel))


def heads_compete(scores, base, *_):
    rows = dynamickv_rows(scores, base)
    return head_rows(scores, [count * scores.shape[1] for count in rows])


VARIANTS = {
    **POLICIES,
    "dynamickv, kernel 13": budgeted(wide(13), competing),
    "dynamickv, kernel 21": budgeted(wide(21), competing),
    "no lookups": budgeted(readahead(lookups=0), competing),
    "average of 7 instead of reading ahead": budgeted(readahead(spread=average_of_7), competing),
    "neither": budgeted(readahead(lookups=0, spread=average_of_7), competing),
    "the same for all layers": budgeted(readahead(), uniform),
    "heads compete as well": budgeted(readahead(), heads_compete),
    "value norms": budgeted(readahead(norms=True), competing),
    "decay 0.8": budgeted(readahead(spread=decaying(0.8)), competing),
    "decay 0.95": budgeted(readahead(spread=decaying(0.95)), competing),
    "half as many lookups": budgeted(readahead(lookups=0.25), competing),
    "twice as many lookups": budgeted(readahead(lookups=1), competing),
    "window of 4": budgeted(readahead(window=4), competing),
    "window of 2": budgeted(readahead(window=2), competing),
}


def scores_of(replies):
    """Per cent, by the metrics of bench/tasks."""
    lines = "".join(json.dumps(reply) + "\n" for reply in replies)
    script = os.path.join(os.path.dirname(__file__), "score.ts")
    done = subprocess.run(["deno", "run", "-A", script], input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [100 * float(score) for score in done.stdout.split()]


def main():
    directory, length, samples = sys.argv[1:]
    torch.set_num_threads(1)
    model = Llama(directory)
    with open(os.path.join(directory, f"questions-{length}.json")) as file:
        questions = [q for q in json.load(file) if q["index"] < int(samples)]
    cells = [(name, budget) for name in VARIANTS for budget in BUDGETS]
    scores = {cell: {} for cell in [("full", None), *cells]}
    for question in questions:
        dense = model.prefill(question["prompt"])
        everything = torch.ones(1, *dense.keys.shape[:3], dtype=torch.bool)
        kept = torch.stack([VARIANTS[name](dense, rows_of(budget, dense.length)) for name, budget in cells])
        answers = model.answer(dense, everything, question["maxTokens"])
        for part in kept.split(32):
            answers += model.answer(dense, part, question["maxTokens"])
        replies = [{**question, "prompt": None, "reply": question["answerPrefix"] + model.text(a)} for a in answers]
        for cell, score in zip(scores, scores_of(replies)):
            scores[cell].setdefault(question["family"], []).append(score)
        print(question["family"], question["index"], file=sys.stderr, flush=True)

    average = lambda families: fmean(fmean(family) for family in families)
    print(f"| | {' | '.join(BUDGETS)} |\n| --- | --- | --- | --- |")
    print(f"| full | {average(scores['full', None].values()):.1f} | | |")
    for name in VARIANTS:
        columns = []
        for budget in BUDGETS:
            own, other = scores["readahead", budget], scores[name, budget]
            gaps = [[b - a for a, b in zip(own[family], other[family])] for family in own]
            error = sum(variance(gap) / len(gap) for gap in gaps) ** 0.5 / len(gaps)
            columns.append(f"{average(other.values()):.1f} ({average(gaps):+.1f} ± {error:.1f})")
        print(f"| {name} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
