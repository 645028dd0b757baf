"""Writes tests/golden/quantisation.json: what GGML's own Python package makes of every tensor type that Ebb reads.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install gguf==0.19.0 numpy
    /tmp/golden/bin/python tools/golden/quantisation.py

For each type: random blocks (with finite scales) and the floats they stand for. For the types that the package can also
quantise, to the byte as GGML's reference code does: random floats and the blocks they become. All arrays are base64 of
little-endian data.
"""

import base64
import json
import pathlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

BLOCKS = 4
# Byte offsets of the half-precision scales within a block.
SCALE_OFFSETS = {
    "F16": [0], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
QUANTISABLE = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]

random = np.random.default_rng(20240607)


def encode(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def finite_halves(count):
    """Half-precision numbers of every size, subnormals included."""
    bits = random.integers(0, 0x10000, 4 * count, dtype=np.uint16)
    return bits[(bits & 0x7C00) != 0x7C00][:count].view(np.float16)


def random_blocks(name):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = BLOCKS if elements > 1 else 32
    if name == "F32":
        return random.standard_normal(count).astype(np.float32).view(np.uint8).reshape(count, size)
    if name == "BF16":
        return (random.standard_normal(count).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(
            np.uint8).reshape(count, size)
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in SCALE_OFFSETS[name]:
        blocks[:, offset:offset + 2] = finite_halves(count).view(np.uint8).reshape(count, 2)
    return blocks


def random_floats():
    """Blocks of 32: of several sizes, one of zeros, one of equal values, one with halves that must be rounded."""
    floats = random.standard_normal((8, 32)) * np.array([[1], [1e-3], [1e-6], [300], [1], [1], [1], [0.02]])
    floats[4] = 0
    floats[5] = 0.37
    floats[6] = np.arange(32) - 15.5
    floats[6, 0] = 127
    return floats.astype(np.float32)


golden = {"dequantise": {}, "quantise": {}}
for name in TYPES:
    blocks = random_blocks(name)
    values = dequantize(blocks.reshape(1, -1), GGMLQuantizationType[name]).astype(np.float32)
    assert np.isfinite(values).all(), name
    golden["dequantise"][name] = {"blocks": encode(blocks), "values": encode(values)}
floats = random_floats()
for name in QUANTISABLE:
    blocks = quantize(floats.reshape(1, -1), GGMLQuantizationType[name])
    golden["quantise"][name] = {"values": encode(floats), "blocks": encode(blocks)}

path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "quantisation.json"
path.write_text(json.dumps(golden, indent=1) + "\n")
print(f"Wrote {path} ({path.stat().st_size} bytes)")
