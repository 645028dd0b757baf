"""Writes tests/golden/encoder/: two encoders of a few thousand random weights, and what Python's onnxruntime and tokenizers
make of texts with them.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install onnx==1.23.2 onnxruntime==1.32.0 tokenizers==0.23.3
    /tmp/golden/bin/python tools/golden/encoder.py

Each is a layer of BERT's kind, with what can go wrong in it: positions, types of a pair, a mask in the attention. The embedder
gives a vector for each token, the reranker a logit. Pooling is done here by hand, as sentence-transformers does it.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/encoder"
WIDTH, LONGEST = 16, 24
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"), *".,!?'-",
          "the", "cat", "cats", "dog", "sat", "on", "mat", "##s", "##ing", "run", "##n", "caf", "##é", "世", "界", "and"]
TEXTS = ["the cat sat on the mat", "The CAT, running!", "café 世界", "Café au lait", "a", "dogs-and-cats?", "x\u0000y \u200b z",
         "naïve Ünïcode 😀 [MASK] it's", "  many   spaces\t\n"]
QUERY = "the cat"
DOCUMENTS = ["cats running", "dog", "the dog sat on the mat and the cat sat on the dog", "世界"]


def write_tokenizer(folder: pathlib.Path) -> Tokenizer:
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*SPECIAL, *PIECES]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def write_model(folder: pathlib.Path, rows: int, seed: int, is_reranker: bool) -> None:
    random = np.random.default_rng(seed)
    weights, nodes = [], []

    def weight(name, *shape):
        values = random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    def constant(name, values):
        weights.append(numpy_helper.from_array(np.array(values), name))
        return name

    def node(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    words = node("Gather", [weight("words", rows, WIDTH), "input_ids"], "word")
    types = node("Gather", [weight("types", 2, WIDTH), "token_type_ids"], "type")
    shape = node("Shape", ["input_ids"], "shape")
    length = node("Gather", [shape, constant("one", np.int64(1))], "length")
    places = node("Range", [constant("zero", np.int64(0)), length, "one"], "range")
    places = node("Gather", [weight("places", LONGEST, WIDTH), places], "place")
    state = node("Add", [node("Add", [words, types], "typed"), places], "embedded")
    query, key, value = (node("MatMul", [state, weight(f"{name}_weight", WIDTH, WIDTH)], name)
                         for name in ("query", "key", "value"))
    scores = node("MatMul", [query, node("Transpose", [key], "key_t", perm=[0, 2, 1])], "scores")
    mask = node("Cast", ["attention_mask"], "mask_f", to=TensorProto.FLOAT)
    mask = node("Mul", [node("Sub", [mask, constant("one_f", np.float32(1))], "mask_1"), constant("many", np.float32(1e9))], "bias")
    mask = node("Unsqueeze", [mask, constant("axis", np.array([1], np.int64))], "bias_1")
    shares = node("Softmax", [node("Add", [scores, mask], "masked"), ], "shares", axis=-1)
    mixed = node("Add", [node("MatMul", [shares, value], "mixed"), state], "residual")
    if is_reranker:
        first = node("Gather", [mixed, "zero"], "first", axis=1)
        node("MatMul", [node("Tanh", [first], "tanh"), weight("head", WIDTH, 1)], "logits")
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    else:
        node("Identity", [mixed], "last_hidden_state")
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH])
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
              for name in ("input_ids", "attention_mask", "token_type_ids")]
    graph = helper.make_graph(nodes, "encoder", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))


def run(folder: pathlib.Path, encoding) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    ids, types = (np.array([values], dtype=np.int64) for values in (encoding.ids, encoding.type_ids))
    return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types})[0][0]


def normalised(vector: np.ndarray) -> list[float]:
    return (vector / np.linalg.norm(vector)).tolist()


def main() -> None:
    golden = {}
    for name in ("embedder", "reranker"):
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = write_tokenizer(folder)
        write_model(folder, tokenizer.get_vocab_size(), len(name), name == "reranker")
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": LONGEST}) + "\n")
        if name == "embedder":
            states = [(text, encoding := tokenizer.encode(text), run(folder, encoding)) for text in TEXTS]
            golden["texts"] = [{"text": text, "ids": encoding.ids, "mean": normalised(state.mean(0)),
                                "cls": state[0].tolist(), "max": state.max(0).tolist(), "lasttoken": state[-1].tolist()}
                               for text, encoding, state in states]
            tokenizer.enable_truncation(6)
            cut = tokenizer.encode(TEXTS[0])
            golden["truncated"] = {"text": TEXTS[0], "tokens": 6, "ids": cut.ids, "mean": normalised(run(folder, cut).mean(0))}
        else:
            pairs = [tokenizer.encode(QUERY, document) for document in DOCUMENTS]
            golden["pairs"] = [{"document": document, "ids": pair.ids, "types": pair.type_ids, "logit": float(run(folder, pair)[0])}
                               for document, pair in zip(DOCUMENTS, pairs)]
            tokenizer.enable_truncation(10)
            cut = tokenizer.encode(QUERY, DOCUMENTS[2])
            golden["truncatedPair"] = {"document": DOCUMENTS[2], "tokens": 10, "ids": cut.ids, "types": cut.type_ids}
    golden["query"] = QUERY
    (OUT / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
