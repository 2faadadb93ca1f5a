"""The names other tools give to GPU types, both ways."""

from functools import cache

from cuvee.catalog.resources import read_data_rows
from cuvee.errors import InputError, UnknownNameError

SCHEMES = ("common", "skypilot", "gpuhunt", "kubernetes", "aiconfigurator")
"""Who names GPUs, in the order in which a name is looked up after the scheme that was asked for."""


def gpu_name_for(scheme: str, canonical: str) -> str:
    """Name of a GPU type in another tool.

    Parameters
        scheme       "skypilot", "aiconfigurator", "kubernetes" (the gpu.product label) or "gpuhunt".
        canonical    Canonical name.
    Raises           UnknownNameError: no such scheme; InputError: the scheme has no name for this GPU.
    """
    if scheme not in SCHEMES:
        raise UnknownNameError("naming scheme", scheme, SCHEMES)
    for row in _rows():
        if row["scheme"] == scheme and row["gpu"] == canonical:
            return row["alias"]
    raise InputError(
        f"GPU type {canonical!r} has no name in {scheme}",
        expected=f"one of {', '.join(dict.fromkeys(row['gpu'] for row in _rows() if row['scheme'] == scheme))}",
        remedy="name the GPU in the exported file by hand",
    )


def resolve_alias(name: str, scheme: str = "common") -> str | None:
    """Canonical name behind an alias, the names of `scheme` first; None where nobody has the name."""
    key = normalize_gpu_name(name)
    for candidate in (scheme, *SCHEMES):
        found = _table().get((candidate, key))
        if found:
            return found[0]
    return None


def resolve_all(name: str, scheme: str) -> tuple[str, ...]:
    """Every canonical name that `scheme` calls `name`, the most common first."""
    return _table().get((scheme, normalize_gpu_name(name)), ())


def normalize_gpu_name(name: str) -> str:
    """Lower case, without separators and maker, so that "NVIDIA RTX 4090" finds "RTX4090"."""
    return "".join(letter for letter in name.lower() if letter.isalnum()).removeprefix("nvidia")


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(read_data_rows("gpu_aliases.csv"))


@cache
def _table() -> dict[tuple[str, str], tuple[str, ...]]:
    table: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in read_data_rows("gpu_types.csv"):
        table["common", normalize_gpu_name(row["name"])] = (row["name"],)
    for row in _rows():
        key = (row["scheme"], normalize_gpu_name(row["alias"]))
        if row["gpu"] not in table.get(key, ()):
            table[key] = (*table.get(key, ()), row["gpu"])
    return table
