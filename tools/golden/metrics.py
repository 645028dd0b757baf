"""Writes tests/golden/metrics.json: what the Python originals of the metrics make of awkward texts.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install rouge==1.0.1 fuzzywuzzy==0.18.0
    /tmp/golden/bin/python tools/golden/metrics.py

python-Levenshtein must not be installed: fuzzywuzzy would use it, and the published scores were made without.
The texts are made of random words, so the file holds nothing of any data set.
"""

import importlib.util
import json
import pathlib
import random
import re
import string
from collections import Counter

from fuzzywuzzy import fuzz
from rouge import Rouge

assert importlib.util.find_spec("Levenshtein") is None, "Uninstall python-Levenshtein first"

random.seed(20241212)
WORDS = "the a cat sat on mat 3.5 e.g. rain, Rain naïve 北京 😀 and over again it was not".split()
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\x1c", "\x85", "\ufeff", "\u200b"]
CODE = "    for item in self.items: return value(x, y) += [i] == None; // 😀 é".replace("//", "")


def prose(sentences):
    """Sentences of a few words each, some without any."""
    text = ""
    for _ in range(sentences):
        words = random.choices(WORDS, k=random.choice([0, 1, 3, 8, 20]))
        text += "".join(word + random.choice(SPACES) for word in words) + random.choice([". ", ".", "...", "! "])
    return text


def changed(text):
    """The text with some characters dropped, doubled or replaced."""
    return "".join(random.choices(["", c, c + c, random.choice(CODE)], weights=[4, 80, 3, 8])[0] for c in text)


def rouge_l(prediction, reference):
    """As LongBench's rouge_score: what cannot be scored is 0."""
    try:
        return Rouge().get_scores([prediction], [reference], avg=True)["rouge-l"]["f"]
    except ValueError:
        return 0.0


def qa_f1(prediction, answer):
    """SQuAD's F1 of words, with Python's own ideas of white space and of the end of a word."""
    def words(text):
        text = "".join(character for character in text.lower() if character not in string.punctuation)
        return Counter(re.sub(r"\b(a|an|the)\b", " ", text).split())

    left, right = words(prediction), words(answer)
    common = (left & right).total()
    return 2 * common / (left.total() + right.total()) if common else 0.0


def line(length):
    return "".join(random.choices(CODE, k=length))


pairs = [("", "a b."), ("a b.", ""), ("...", "a."), (" . ", "a."), (" . ", " ."), ("a b c d", "d c b a"), ("A a.", "a a.")]
for _ in range(40):
    reference = prose(random.choice([1, 2, 5]))
    pairs.append((random.choice([changed(reference), prose(random.choice([1, 3, 6]))]), reference))

lines = [("", ""), ("", "a"), ("a", ""), ("ab", "ab"), ("abcd", "bcde"), ("ab" * 60, "ba" * 110), ("private", "privat")]
# Lengths around the one from which on popular characters start no match.
for length in [1, 2, 7, 30, 80, 199, 200, 201, 350]:
    for _ in range(3):
        answer = line(length)
        lines.append((random.choice([changed(answer), line(length)]), answer))
        lines.append((changed(answer), answer))

PIECES = ["a", "an", "the", "A1", "_", "é", "的", "٣", "42", "-", *SPACES]
texts = ["".join(random.choices(PIECES, k=12)) for _ in range(40)]
qa = [(text, "".join(random.sample(re.findall(r"\w+|\W", text), k=len(re.findall(r"\w+|\W", text)) - 1))) for text in texts]
result = {
    "rouge": [[*pair, rouge_l(*pair)] for pair in pairs],
    "ratio": [[*pair, fuzz.ratio(*pair)] for pair in lines],
    "text": [
        {
            "text": text,
            "words": text.split(),
            "digits": re.findall(r"\d+", text),
        }
        for text in texts
    ],
    "qa": [[*pair, qa_f1(*pair)] for pair in qa],
    "round": [[value, round(value, 2), round(value)] for value in
              [0.5, 1.5, 2.5, 0.125, 0.375, 62.125, 62.135, 2.675, 1.005, 0.285, 33.335, 99.995, 100.0, 0.0]
              + [100 * random.randrange(800) / 800 for _ in range(20)]],
}
path = pathlib.Path(__file__).parent.parent.parent / "tests" / "golden" / "metrics.json"
rows = [f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in result.items()]
path.write_text("{\n" + ",\n".join(rows) + "\n}\n")
