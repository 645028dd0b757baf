"""Writes tests/golden/added_tokens.json: how Hugging Face's tokenizers find added tokens of every kind.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install tokenizers==0.23.3
    /tmp/golden/bin/python tools/golden/added_tokens.py
"""

import json
import pathlib

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

PIECES = ["▁", *"abctol<>é.", "▁a", "▁b", "▁<"]
KINDS = [
    {"normalized": True},
    {"normalized": False},
    {"normalized": False, "single_word": True},
    {"normalized": False, "lstrip": True},
    {"normalized": False, "rstrip": True},
    {"normalized": False, "lstrip": True, "rstrip": True, "special": True},
]
TEXTS = ["a <tool> b", "a<tool>b", "<tool>", "a  <tool>  b", "<tool><tool> <tool>", " <tool>", "<tool>é", "é<tool>", "<tool", "a <tool>. b"]


def sentencepiece(prepend):
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for piece in PIECES:
        vocabulary[piece] = len(vocabulary)
    merges = [("▁", "a"), ("▁", "b"), ("▁", "<")]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if prepend:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


def byte_level():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


cases = []
for make in (lambda: sentencepiece(True), lambda: sentencepiece(False), byte_level):
    for kind in KINDS:
        tokenizer = make()
        tokenizer.add_tokens([AddedToken("<tool>", **kind)])
        texts = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            texts.append([text, ids, tokenizer.decode(ids, skip_special_tokens=False)])
        cases.append({"kind": kind, "tokenizer": json.loads(tokenizer.to_str()), "texts": texts})

path = pathlib.Path(__file__).parent.parent.parent / "tests" / "golden" / "added_tokens.json"
path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
