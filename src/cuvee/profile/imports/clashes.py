"""The same load point in two places: once is enough where the figures agree, and a clash where they do not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cuvee.errors import InputError
from cuvee.profile.imports.load_point import Latency, LoadPoint
from cuvee.profile.measured import model_key

SAME_LENGTHS = 0.01
"""Widest gap between mean lengths of the same load point [-]: runs of one setting draw slightly different ones."""

WAYS = ("error", "mean", "last", "first")


@dataclass(frozen=True)
class Clash:
    """Load points that should be one and are not.

    Attributes
        places    Where they stand.
        text      The figures that differ, e.g. "12.1 and 14.9 req/s".
        taken     What was made of them: one of `WAYS` but "error".
    """

    places: tuple[str, ...]
    text: str
    taken: str


def settled(points: Sequence[LoadPoint], on_clash: str) -> tuple[list[LoadPoint], list[Clash], list[str]]:
    """Each load point once.

    Parameters
        on_clash    One of `WAYS`.
    Returns         the points in the order of their first place, the clashes, and places that repeat another's figures.
    Raises          InputError: a clash, with on_clash "error".
    """
    groups: list[list[LoadPoint]] = []
    for point in points:
        same = next((group for group in groups if _is_same(group[0], point)), None)
        if same is None:
            groups.append([point])
        else:
            same.append(point)
    kept: list[LoadPoint] = []
    clashes: list[Clash] = []
    repeated: list[str] = []
    for group in groups:
        distinct = {_figures(point): point for point in reversed(group)}
        if len(distinct) == 1:
            kept.append(group[0])
            repeated += [f"{point.place} repeats {group[0].place}" for point in group[1:]]
            continue
        clash = Clash(tuple(point.place for point in group), _differences(group), on_clash)
        if on_clash == "error":
            raise _error(clash)
        clashes.append(clash)
        kept.append(_taken(group, on_clash))
    return kept, clashes, repeated


def _is_same(first: LoadPoint, second: LoadPoint) -> bool:
    return _key(first) == _key(second) and all(
        abs(ours / theirs - 1) <= SAME_LENGTHS
        for ours, theirs in (
            (first.input_tokens, second.input_tokens),
            (first.output_tokens, second.output_tokens),
        )
    )


def _key(point: LoadPoint) -> tuple[object, ...]:
    served = point.deployment
    names = (served.gpu, served.engine, served.engine_version, served.weights, served.kv)
    return (
        *((name or "").lower() for name in names),
        model_key(served.model or ""),
        served.tp,
        served.pp,
        served.replicas,
        point.group,
        point.load,
    )


def _figures(point: LoadPoint) -> tuple[object, ...]:
    latencies = (point.ttft, point.tpot, point.end_to_end)
    return (point.rate_req_per_s, point.output_tokens_per_s, *(each and each.mean_s for each in latencies))


def _differences(group: Sequence[LoadPoint]) -> str:
    columns = (
        ("req/s", [point.rate_req_per_s for point in group]),
        ("ms TTFT", [point.ttft and point.ttft.mean_s * 1e3 for point in group]),
        ("ms TPOT", [point.tpot and point.tpot.mean_s * 1e3 for point in group]),
    )
    told = [
        f"{' and '.join('none' if value is None else f'{value:.4g}' for value in values)} {unit}"
        for unit, values in columns
        if len(set(values)) > 1
    ]
    return "; ".join(told) or "other latencies or token rates"


def _error(clash: Clash) -> InputError:
    return InputError(
        f"{' and '.join(clash.places)}: the same load point with different figures ({clash.text})",
        expected="each load point once",
        remedy="leave one out, or choose with --on-clash mean, last or first; runs of different setups need their own "
        "setup (--setup with 'files:')",
    )


def _taken(group: Sequence[LoadPoint], on_clash: str) -> LoadPoint:
    if on_clash != "mean":
        taken = group[0 if on_clash == "first" else -1]
        return replace(taken, remarks=(*taken.remarks, f"{on_clash} of {len(group)} clashing runs"))
    return replace(
        group[0],
        place=" and ".join(point.place for point in group),
        rate_req_per_s=_mean([point.rate_req_per_s for point in group]),
        output_tokens_per_s=_mean([point.output_tokens_per_s for point in group]),
        ttft=_mean_latency([point.ttft for point in group]),
        tpot=_mean_latency([point.tpot for point in group]),
        end_to_end=_mean_latency([point.end_to_end for point in group]),
        completed=None,
        warm_up_completed=None,
        failed=None,
        duration_s=None,
        is_doubtful=any(point.is_doubtful for point in group),
        remarks=(*group[0].remarks, f"mean of {len(group)} clashing runs"),
        doubts=tuple(dict.fromkeys(doubt for point in group for doubt in point.doubts)),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _mean_latency(values: Sequence[Latency | None]) -> Latency | None:
    """Mean of means; percentiles of several runs have none."""
    mean_s = _mean([value.mean_s for value in values if value is not None])
    return None if mean_s is None else Latency(mean_s)
