"""Latency limits on the command line: `--slo ttft=0.5,tpot=50ms,p95`, `--slo in2455-out18:ttft=2`."""

from collections.abc import Sequence
from typing import Any

from cuvee.errors import InputError

UNITS = {"ms": 1e-3, "s": 1.0}
"""What may follow a number; seconds where nothing does."""


def apply_slo(record: dict[str, Any], texts: Sequence[str]) -> None:
    """Write the limits of each --slo into a scenario `record`, over those that it holds for all or for one model."""
    for text in texts:
        kind, limits = parse_slo(text)
        own = [entry["slo"] for entry in record.get("models") or () if isinstance(entry, dict) and entry.get("slo")]
        for slo in own:  # what is said of one model would otherwise come first
            target = slo if kind is None else slo.get("types", {}).get(kind, {})
            for name in limits:
                target.pop(name, None)
        slo = record["slo"] = dict(record.get("slo") or {})
        if kind is None:
            slo.update(limits)
        else:
            types = slo["types"] = dict(slo.get("types") or {})
            types[kind] = {**types.get(kind, {}), **limits}


def parse_slo(text: str) -> tuple[str | None, dict[str, Any]]:
    """Workload type, None for all, and the fields of a scenario's limits that `text` sets.

    Raises      InputError.
    """
    from cuvee.workload.latency_limits import LABELS

    kind, colon, rest = text.rpartition(":")
    limits: dict[str, Any] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        field = f"{name.strip().lower()}_s" if equals else "statistic"
        known = field in LABELS or (not equals and _is_statistic(name))
        if not known or field in limits or (colon and not kind):
            raise InputError(
                f"--slo {text!r}: {part.strip()!r}",
                expected="[TYPE:]ttft=SECONDS,tpot=SECONDS,e2e=SECONDS, each once, and mean or a percentile like p95",
                remedy="e.g. --slo ttft=0.5,tpot=50ms,p95",
            )
        limits[field] = _seconds(text, value) if equals else name
    if not limits.keys() & LABELS.keys():
        raise InputError(
            f"--slo {text!r}: no limit, which a statistic alone is not",
            expected="a limit on ttft, tpot or e2e beside it",
            remedy=f"e.g. --slo ttft=0.5,{text.rpartition(':')[2].strip()}",
        )
    return kind or None, limits


def _is_statistic(text: str) -> bool:
    from cuvee.workload.latency_limits import parse_statistic

    try:
        parse_statistic(text)
    except InputError:
        return False
    return True


def _seconds(text: str, value: str) -> float:
    """A time such as "0.5", "0.5s" or "500ms" [s]."""
    number, factor = value.strip(), 1.0
    for unit, size in UNITS.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit).strip(), size
            break
    try:
        return float(number) * factor
    except ValueError:
        raise InputError(
            f"--slo {text!r}: {value!r}", expected="a number of seconds, or of ms", remedy="e.g. --slo ttft=500ms"
        ) from None
