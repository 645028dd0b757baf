"""Writes tests/golden/transformers_configs.json: config.json as transformers writes it, for each family and kind of rotation.

    pip install transformers==5.24.0
    python tools/golden/transformers_configs.py > tests/golden/transformers_configs.json
"""
import json

import transformers
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

SIZES = dict(
    vocab_size=320, hidden_size=64, intermediate_size=112, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=512, bos_token_id=1, eos_token_id=2)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=256)
LINEAR = dict(rope_type="linear", rope_theta=20000.0, factor=4.0)

CONFIGS = {
    "llama": LlamaConfig(**SIZES, dtype="bfloat16"),
    "llama3, tied": LlamaConfig(**SIZES, rope_parameters=LLAMA3, tie_word_embeddings=True, head_dim=32),
    "llama yarn": LlamaConfig(**SIZES, rope_parameters=YARN),
    "llama linear": LlamaConfig(**SIZES, rope_parameters=LINEAR),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "mistral with a window": MistralConfig(**SIZES, sliding_window=128),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3, tied": Qwen3Config(**SIZES, head_dim=32, tie_word_embeddings=True),
}

# What save_pretrained() writes: all but what is the class's own default.
print(json.dumps({
    "version": transformers.__version__,
    "configs": {name: json.loads(config.to_json_string(use_diff=True)) for name, config in CONFIGS.items()},
}, separators=(",", ":")))
