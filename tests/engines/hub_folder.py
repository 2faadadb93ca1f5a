"""A writer of tiny Llama models as Hugging Face folders without weights, for engines that load dummy ones."""

import json
from pathlib import Path

from tests.engines.shape import CHAT_TEMPLATE, SPECIAL_TOKENS, ModelShape, vocabulary


def write_folder(path: Path, shape: ModelShape) -> Path:
    """Write config.json and the tokenizer of `shape` into `path`; returns the path."""
    path.mkdir(parents=True, exist_ok=True)
    tokens, merges = vocabulary()
    first, last, padding = SPECIAL_TOKENS
    _write(path / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(tokens),
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_size,
        "max_position_embeddings": shape.context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
        "torch_dtype": "float32", "attention_bias": False, "mlp_bias": False, "initializer_range": 0.02,
    })  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    _write(path / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": place, "content": token, **special} for place, token in enumerate(SPECIAL_TOKENS)],
        "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "vocab": {token: place for place, token in enumerate(tokens)}, "merges": merges,
        },
    })  # fmt: skip
    _write(path / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": first, "eos_token": last, "pad_token": padding,
        "model_max_length": shape.context, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE,
    })  # fmt: skip
    return path


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
