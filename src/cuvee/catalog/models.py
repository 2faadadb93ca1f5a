"""The models of the catalogue, and any other one from its Hugging Face config.json."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cuvee.catalog.hub import fetch_config
from cuvee.catalog.huggingface import parse_config
from cuvee.catalog.model import (
    LatentAttention,
    MixtureOfExperts,
    ModelSpec,
    SlidingWindow,
)
from cuvee.catalog.model_names import find_variant, normalize_model_name, precision_in_name
from cuvee.catalog.resources import read_data_json
from cuvee.errors import InputError, UnknownNameError, kind_of
from cuvee.files import read_text

CONFIG_FILE = "config.json"
QUANTIZATION_FILE = "hf_quant_config.json"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(?<!\.json)", re.ASCII)
LIST_MODELS = "list them with: cuvee models; or give the path of a config.json"
NOT_IN_THE_RECORD = ("aliases", "date_read", "licence", "notes")


def load_models() -> dict[str, ModelSpec]:
    """Models of the catalogue by name."""
    return dict(_models())


def load_model(name_or_path: str | Path) -> ModelSpec:
    """Shape of a model.

    Parameters
        name_or_path    A name or hub id of the catalogue, or of a tuned sibling or a copy at another precision;
                        a config.json or a folder with one; or, with the extra [hub], any id such as "org/name".
    Raises              UnknownNameError, InputError (a file that is no usable config.json), or
                        MissingExtraError (a hub id without the extra).
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str):
        known = _by_any_name().get(normalize_model_name(text))
        if known is not None:
            return known
    if text.strip() and _exists(text):
        return _load_path(Path(text))
    if isinstance(name_or_path, str):
        variant = find_variant(text, _by_any_name())
        if variant is not None:
            return variant
    if isinstance(name_or_path, str) and HUB_ID.fullmatch(text):
        return replace(_parse_texts(fetch_config(text), text, f"{text}/{CONFIG_FILE}"), hf_id=text)
    if isinstance(name_or_path, str) and not text.endswith(".json") and "/" not in text:
        raise UnknownNameError("model", text, _models(), remedy=LIST_MODELS)
    raise InputError(f"{text}: no such file or folder", expected="a config.json", remedy=LIST_MODELS)


def catalogue_name(name: str) -> str | None:
    """Name in the catalogue of the model that has the shape of `name`; None where it has none."""
    found = find_variant(name, _by_any_name())
    return None if found is None else found.name


def released_precision(name: str) -> str:
    """Precision of the published weights of `name`: the catalogue's, else what the name tells, else 16 bit."""
    found = _by_any_name().get(normalize_model_name(name)) or find_variant(name, _by_any_name())
    return found.released_precision if found else precision_in_name(name) or "bf16"


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _load_path(path: Path) -> ModelSpec:
    """Model of a config.json or of a folder that holds one."""
    config_path = path / CONFIG_FILE if path.is_dir() else path
    beside = config_path.with_name(QUANTIZATION_FILE)
    texts = {CONFIG_FILE: read_text(config_path)}
    if beside.is_file():
        texts[QUANTIZATION_FILE] = read_text(beside)
    return _parse_texts(texts, name_of_path(config_path), str(config_path))


def name_of_path(config_path: Path) -> str:
    """Name of the model whose config.json stands at a path, whether or not it is there: that of its folder."""
    folder = config_path.resolve().parent.name
    return folder if config_path.name == CONFIG_FILE and folder else config_path.stem


def _parse_texts(texts: dict[str, str], name: str, where: str) -> ModelSpec:
    config = parse_json_object(texts[CONFIG_FILE], where)
    quantization = texts.get(QUANTIZATION_FILE)
    if quantization is not None and "quantization_config" not in config:
        beside = parse_json_object(quantization, f"{where} ({QUANTIZATION_FILE} beside it)")
        config["quantization_config"] = {"quant_method": "modelopt", **beside}
    return parse_config(config, name, where=where)


def parse_json_object(text: str, where: str) -> dict[str, Any]:
    """Object that `text` holds; raises InputError with line and column otherwise."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}:{error.lineno}:{error.colno}: not JSON ({error.msg.lower()})", expected="a JSON object"
        ) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{where}: not usable JSON ({reason})", expected="a JSON object") from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: {kind_of(content)}", expected="a JSON object")
    return content


@cache
def _models() -> dict[str, ModelSpec]:
    return {name: _spec(name, entry) for name, entry in _entries().items()}


@cache
def _by_any_name() -> dict[str, ModelSpec]:
    """Models by every name of theirs, normalised, with and without the publisher."""
    names: dict[str, ModelSpec] = {}
    for name, entry in _entries().items():
        for alias in (name, entry["hf_id"], *entry.get("aliases", ())):
            key = normalize_model_name(alias)
            names[key] = names[key.rpartition("/")[2]] = _models()[name]
    return names


@cache
def _entries() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = read_data_json("models.json")
    return entries


def _spec(name: str, entry: dict[str, Any]) -> ModelSpec:
    """Record of one catalogue entry, whose keys are the fields of ModelSpec."""
    fields = {key: value for key, value in entry.items() if key not in NOT_IN_THE_RECORD}
    for key, kind in (("moe", MixtureOfExperts), ("mla", LatentAttention), ("sliding_window", SlidingWindow)):
        if key in fields:
            fields[key] = kind(**fields[key])
    return ModelSpec(name=name, **fields)
