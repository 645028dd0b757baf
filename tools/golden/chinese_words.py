"""Writes tests/golden/chinese_words.json: the words that Python's jieba cuts awkward Chinese texts into.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install jieba==0.42.1
    /tmp/golden/bin/python tools/golden/chinese_words.py

The texts are made of random words of jieba's dictionary, random characters, Latin words, numbers and punctuation, so the
file holds nothing of any data set.
"""

import json
import logging
import pathlib
import random

import jieba

jieba.setLogLevel(logging.ERROR)
jieba.initialize()
random.seed(20251128)

WORDS = [word for word, frequency in jieba.dt.FREQ.items() if frequency > 50 and len(word) < 5]
LATIN = """iPhone QQ C++ C# c++ A4 4G USB3.0 www.baidu.com AT&T a_b km Windows10 v2.1.3 T恤 B超 卡拉OK &nbsp; naïve x
é １２３ ＡＢＣ ① Ⅲ ℃ ㎡ 😀 カタカナ 한국 𠮷 㐀 龥 鿕 鿖 々 〇""".split()
NUMBERS = "10000 3.14 50% 50%50% 2014-05-06 12:30 100. 1. ..5 5%% +86 -3 1-2 1.2.3 %5 #1 1#2 A4+86 2014-05-06a".split()
PUNCTUATION = list("，。！？、；：“”（）《》…—·,.!?;:()[]<>/\\@$%^&*-_=+#~'\"|`")
SPACES = [" ", "  ", "\n", "\t", "\u3000", "\r\n", "\xa0", "\x1c", "\u200b", "\ufeff"]


def piece():
    kind = random.choice([WORDS] * 6 + [LATIN, LATIN, NUMBERS, PUNCTUATION, SPACES, None])
    return random.choice(kind) if kind else chr(random.randrange(0x4E00, 0x9FA5))


texts = ["", " ", *("".join(piece() for _ in range(random.randrange(3, 25))) for _ in range(500))]
path = pathlib.Path(__file__).parent.parent.parent / "tests" / "golden" / "chinese_words.json"
lines = ",\n".join(json.dumps(list(jieba.cut(text, cut_all=False)), ensure_ascii=False) for text in texts)
path.write_text(f"[\n{lines}\n]\n")
