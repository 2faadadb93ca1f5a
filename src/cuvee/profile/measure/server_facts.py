"""What a server says of itself: the models it offers, its engine, version and settings."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cuvee.errors import InputError
from cuvee.profile.measure.client import Client

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp", "tensorrt_llm": "tensorrt-llm"}
"""Engine by what /v1/models says of who owns a model."""

VLLM_CONFIG = re.compile(r"^vllm:(?:cache|lora)_config_info\{(?P<labels>[^}]*)\}", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
VLLM_SETTINGS = (
    "block_size", "cache_dtype", "calculate_kv_scales", "cpu_offload_gb", "enable_prefix_caching",
    "gpu_memory_utilization", "num_gpu_blocks", "prefix_caching_hash_algo", "sliding_window", "swap_space",
)  # fmt: skip
SGLANG_SETTINGS = (
    "attention_backend", "chunked_prefill_size", "context_length", "disable_radix_cache", "dp_size", "dtype",
    "enable_torch_compile", "ep_size", "kv_cache_dtype", "max_prefill_tokens", "max_running_requests",
    "max_total_num_tokens", "mem_fraction_static", "model_path", "pp_size", "quantization", "schedule_policy",
    "speculative_algorithm", "tp_size",
)  # fmt: skip
VARYING = ("num_gpu_blocks", "max_total_num_tokens")
"""Settings that come out a little different at every start of the same engine."""

VERSION_PATHS = ("/version", "/get_server_info", "/server_info", "/props")


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself; None and empty where it says nothing.

    Attributes
        served_name    Model that requests name.
        max_context    Longest prompt and answer together [tokens].
        vocabulary     Entries of the model's vocabulary [-].
        engine         Name as the catalogue has it, e.g. "vllm".
        version        Of the engine, e.g. "0.11.0".
        settings       By their own names.
    """

    served_name: str
    max_context: int | None = None
    vocabulary: int | None = None
    engine: str | None = None
    version: str | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def tp(self) -> int | None:
        """GPUs over which each layer is split [-]."""
        return _count(self.settings.get("tp_size"))

    @property
    def pp(self) -> int | None:
        """Pipeline stages [-]."""
        return _count(self.settings.get("pp_size"))

    @property
    def kv(self) -> str | None:
        """Precision of the cache."""
        stated = self.settings.get("cache_dtype") or self.settings.get("kv_cache_dtype")
        return "fp8" if stated and stated.startswith("fp8") else None

    @property
    def steady_settings(self) -> dict[str, str]:
        """Settings that stay the same from start to start."""
        return {name: value for name, value in self.settings.items() if name not in VARYING}


async def ask_server(client: Client, served_name: str | None) -> ServerFacts:
    """What the server at `client` says of itself.

    Parameters
        served_name    Model to name in requests; None for the one that is offered.
    Raises             InputError: no server, no key that it accepts, several models or not the one that is named.
    """
    status, text = await client.ask("/v1/models")
    if status in (401, 403):
        raise InputError(
            f"{client.url} answers {status} to GET /v1/models: {client.cleaned(text)}", expected="an accepted key",
            remedy="name the environment variable that holds it: --api-key-env NAME",
        )  # fmt: skip
    models = _objects(_json(text).get("data")) if status == 200 else []
    chosen = _chosen(models, served_name, client.url, status)
    version, settings = await _version(client)
    engine = OWNERS.get(str(chosen.get("owned_by") or "").lower())
    status, metrics = await client.ask("/metrics")
    if status == 200:
        if engine is None and (found := re.search(r"^(vllm|sglang):", metrics, re.MULTILINE)):
            engine = found[1]
        settings |= _vllm_settings(metrics)
    meta = _mapping(chosen.get("meta"))
    context = chosen.get("max_model_len") or meta.get("n_ctx") or meta.get("n_ctx_train")
    return ServerFacts(
        str(chosen["id"]), _count(context), _count(meta.get("n_vocab")), engine, version, dict(sorted(settings.items()))
    )


def _chosen(models: list[dict[str, Any]], served_name: str | None, url: str, status: int) -> dict[str, Any]:
    names = [str(each["id"]) for each in models if each.get("id")]
    if served_name is not None:
        if names and served_name not in names:
            raise InputError(
                f"{url} offers {_some(names)}, not {served_name!r}",
                expected="a model that is offered",
                remedy="name one with --served-name",
            )
        return next((each for each in models if each.get("id") == served_name), {"id": served_name})
    if not names:
        raise InputError(
            f"{url} answers {status or 'nothing'} to GET /v1/models, and lists no model",
            expected="an OpenAI-compatible endpoint",
            remedy="check the address, or name the model with --served-name",
        )
    # Adapters name the model that they stand on as their parent.
    whole = [each for each in models if each.get("id") and not each.get("parent")]
    if len(whole) != 1:
        raise InputError(
            f"{url} offers {_some(names)}",
            expected="one model, or a word on which to measure",
            remedy=f"say which: --served-name {names[0]}",
        )
    return whole[0]


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


async def _version(client: Client) -> tuple[str | None, dict[str, str]]:
    """Version and settings from the first place that has a version."""
    for path in VERSION_PATHS:
        status, text = await client.ask(path)
        found = _json(text) if status == 200 else {}
        version = found.get("version") or found.get("build_info")
        if isinstance(version, str) and version:
            settings = {name: str(found[name]) for name in SGLANG_SETTINGS if found.get(name) is not None}
            if found.get("total_slots") is not None:
                settings["total_slots"] = str(found["total_slots"])
            return client.cleaned(version)[:80], settings
    return None, {}


def _vllm_settings(metrics: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in VLLM_CONFIG.finditer(metrics):
        found |= {name: value for name, value in LABEL.findall(match["labels"]) if name in VLLM_SETTINGS}
    return found


def _json(text: str) -> dict[str, Any]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _count(value: object) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if number > 0 else None
