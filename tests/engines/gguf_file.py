"""A writer of tiny Llama models in GGUF, the format of llama.cpp: random weights, our own vocabulary.

Source      ggml-org/ggml, docs/gguf.md, version 3, read 2026-11.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.engines.shape import CHAT_TEMPLATE, SPECIAL_TOKENS, ModelShape, vocabulary

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32_TENSOR = 0
CONTROL_TOKEN, NORMAL_TOKEN = 3, 1
SPREAD = 0.02
"""Standard deviation of weights [-]."""

Weights = NDArray[np.float32]


def write_gguf(path: Path, shape: ModelShape, *, seed: int = 0) -> Path:
    """Write a model of `shape` with weights drawn by `seed`; returns the path."""
    tensors = list(_tensors(shape, np.random.default_rng(seed)))
    fields = _fields(shape)
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(fields)))
        for name, value in fields.items():
            file.write(_string(name) + value)
        offset = 0
        for name, weights in tensors:
            sizes = weights.shape[::-1]
            file.write(_string(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes))
            file.write(struct.pack("<IQ", F32_TENSOR, offset))
            offset += -(-weights.nbytes // ALIGNMENT) * ALIGNMENT
        file.write(bytes(-file.tell() % ALIGNMENT))
        for _, weights in tensors:
            file.write(weights.tobytes())
            file.write(bytes(-file.tell() % ALIGNMENT))
    return path


def _fields(shape: ModelShape) -> dict[str, bytes]:
    tokens, merges = vocabulary()
    kinds = [CONTROL_TOKEN] * len(SPECIAL_TOKENS) + [NORMAL_TOKEN] * (len(tokens) - len(SPECIAL_TOKENS))
    return {
        "general.architecture": _text("llama"),
        "general.name": _text("tiny"),
        "llama.context_length": _uint(shape.context),
        "llama.embedding_length": _uint(shape.hidden),
        "llama.block_count": _uint(shape.layers),
        "llama.feed_forward_length": _uint(shape.intermediate),
        "llama.attention.head_count": _uint(shape.heads),
        "llama.attention.head_count_kv": _uint(shape.kv_heads),
        "llama.attention.layer_norm_rms_epsilon": struct.pack("<If", FLOAT32, 1e-5),
        "llama.rope.dimension_count": _uint(shape.head_size),
        "llama.vocab_size": _uint(len(tokens)),
        "tokenizer.ggml.model": _text("gpt2"),
        "tokenizer.ggml.pre": _text("gpt-2"),
        "tokenizer.ggml.tokens": _array(STRING, [_string(token) for token in tokens]),
        "tokenizer.ggml.token_type": _array(INT32, [struct.pack("<i", kind) for kind in kinds]),
        "tokenizer.ggml.merges": _array(STRING, [_string(merge) for merge in merges]),
        "tokenizer.ggml.bos_token_id": _uint(0),
        "tokenizer.ggml.eos_token_id": _uint(1),
        "tokenizer.ggml.add_bos_token": struct.pack("<I?", BOOL, False),
        "tokenizer.chat_template": _text(CHAT_TEMPLATE),
    }


def _tensors(shape: ModelShape, rng: np.random.Generator) -> Iterator[tuple[str, Weights]]:
    def drawn(*sizes: int) -> Weights:
        return rng.standard_normal(sizes, dtype=np.float32) * np.float32(SPREAD)

    def ones() -> Weights:
        return np.ones(shape.hidden, np.float32)

    cached = shape.kv_heads * shape.head_size
    num_tokens = len(vocabulary()[0])
    yield "token_embd.weight", drawn(num_tokens, shape.hidden)
    yield "output_norm.weight", ones()
    yield "output.weight", drawn(num_tokens, shape.hidden)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", ones()
        yield f"{block}.attn_q.weight", drawn(shape.hidden, shape.hidden)
        yield f"{block}.attn_k.weight", drawn(cached, shape.hidden)
        yield f"{block}.attn_v.weight", drawn(cached, shape.hidden)
        yield f"{block}.attn_output.weight", drawn(shape.hidden, shape.hidden)
        yield f"{block}.ffn_norm.weight", ones()
        yield f"{block}.ffn_gate.weight", drawn(shape.intermediate, shape.hidden)
        yield f"{block}.ffn_up.weight", drawn(shape.intermediate, shape.hidden)
        yield f"{block}.ffn_down.weight", drawn(shape.hidden, shape.intermediate)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _text(text: str) -> bytes:
    return struct.pack("<I", STRING) + _string(text)


def _uint(value: int) -> bytes:
    return struct.pack("<II", UINT32, value)


def _array(kind: int, values: list[bytes]) -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(values)
