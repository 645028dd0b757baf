"""Compares Ebb's kept rows and answers with those of the reference.

    python tools/reference/compare.py DIRECTORY LENGTH ebb.jsonl

DIRECTORY is what write_inputs.ts wrote, ebb.jsonl what ask_ebb.ts wrote. Prints, for each policy and budget, on how many
questions rows per layer and answers are the same.
"""
import json
import math
import os
import sys
from collections import defaultdict

import torch

from llama import Llama
from policies import POLICIES


def rows_of(budget, length):
    share = budget.endswith("%")
    return max(1, math.floor(float(budget[:-1]) / 100 * length + 0.5)) if share else int(budget)


def main():
    directory, length, answers = sys.argv[1:]
    torch.set_num_threads(1)
    model = Llama(directory)
    asked = defaultdict(list)
    with open(answers) as file:
        for line in map(json.loads, file):
            asked[line["family"], line["index"]].append(line)
    with open(os.path.join(directory, f"questions-{length}.json")) as file:
        questions = {(q["family"], q["index"]): q for q in json.load(file)}
    tallies = defaultdict(lambda: [0, 0, 0, 0])
    for key, lines in asked.items():
        question = questions[key]
        dense = model.prefill(question["prompt"])
        keep_all = lambda dense, budget: torch.ones(*dense.keys.shape[:3], dtype=torch.bool)
        visible = torch.stack([
            POLICIES.get(line["policy"], keep_all)(dense, rows_of(line["budget"], dense.length)) for line in lines])
        for line, mask, answer in zip(lines, visible, model.answer(dense, visible, question["maxTokens"])):
            rows = mask.sum(-1).float().mean(-1).tolist()
            tokens = [token for token in line["tokens"] if token not in model.end_tokens]
            tally = tallies[line["policy"], line["budget"]]
            tally[0] += 1
            tally[1] += rows == line["rows"]
            tally[2] += tokens == answer
            tally[3] = max(tally[3], max(abs(a - b) for a, b in zip(rows, line["rows"])))
            if tokens != answer or rows != line["rows"]:
                print(*key, line["policy"], line["budget"], "Ebb", line["rows"], repr(model.text(tokens)),
                      "reference", rows, repr(model.text(answer)))
    for (policy, budget), (count, rows, same, most) in tallies.items():
        print(f"{policy:12} {budget:6} {count} questions: same rows {rows}, same answers {same}; rows of a layer differ by at most {most:g}")


if __name__ == "__main__":
    main()
