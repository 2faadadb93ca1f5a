"""Points given to the calibration and points it must predict, from the public collection."""

import sys
from collections.abc import Callable, Sequence

import numpy as np

from cuvee.profile import AnalyticProvider, ChainProvider
from cuvee.profile.calibrated import CalibratedProvider, CalibratedReplica
from cuvee.profile.calibration import calibrate
from cuvee.profile.measurements import Measurement, load_measurements
from cuvee.profile.points import KnownPoint
from tests.profile.public_figures import COLLECTION

Choice = Callable[[Sequence[Measurement]], list[int]]


def configurations(group: str) -> list[list[Measurement]]:
    """Sound saturated points of a group of the collection, by configuration."""
    found: dict[tuple[object, ...], list[Measurement]] = {}
    for row in load_measurements(COLLECTION):
        if row.group == group and not row.is_doubtful and row.request_rate_req_per_s is None:
            key = (row.gpu, row.model, row.weights, row.kv, row.tensor_parallel_size, row.pipeline_parallel_size)
            found.setdefault(key, []).append(row)
    return list(found.values())


def by_shape(count: int) -> Choice:
    """Points by their lengths alone: most answer for its prompt, least, and the one between; the first `count`."""

    def choose(rows: Sequence[Measurement]) -> list[int]:
        order = sorted(range(len(rows)), key=lambda row: _shape(rows[row]))
        return [order[0], order[-1], order[len(order) // 2]][:count]

    return choose


def _shape(row: Measurement) -> tuple[float, float]:
    return row.input_tokens / row.output_tokens, row.input_tokens + row.output_tokens


def at_random(count: int, seed: int) -> Choice:
    """`count` points drawn."""
    generator = np.random.default_rng(seed)
    return lambda rows: generator.choice(len(rows), count, replace=False).tolist()


def held_out_errors(
    alike: Sequence[Sequence[Measurement]], choose: Choice, *, give: int | None = None
) -> list[list[float]]:
    """|predicted / measured - 1| of the points that were not chosen, by configuration.

    Parameters
        give    How many of those chosen are given to the calibration; all where not said.
    """
    chosen = [choose(rows) for rows in alike]
    given = [rows[index] for rows, mine in zip(alike, chosen, strict=True) for index in mine[:give]]
    fitted = calibrate(given, date="2026-01-01")
    replicas = tuple(each.replica for each in fitted.configurations)
    errors = []
    for rows, mine in zip(alike, chosen, strict=True):
        rest = [row for index, row in enumerate(rows) if index not in mine]
        errors.append([_error(KnownPoint.of(row), replicas) for row in rest])
    return errors


def _error(point: KnownPoint, replicas: tuple[CalibratedReplica, ...]) -> float:
    analytic = AnalyticProvider(point.models, point.gpus, point.engine)
    calibrated = CalibratedProvider(replicas, point.models, point.gpus, point.engine)
    table = ChainProvider(calibrated, analytic).table([point.config], [point.workload])
    row = point.measurement
    assert row.rate_req_per_s is not None
    return abs(float(table.rate_req_per_s[0, 0]) * row.replicas / row.rate_req_per_s - 1)


DRAWS = 5
"""Random choices of points that one row of the table is taken over."""


def held_out_table(group: str) -> str:
    """Errors on points not given, by how many are given, as the page on the throughput model has them."""
    alike = configurations(group)
    lines = ["| Points given | chosen | n | median | mean | p90 |", "| --- | --- | --- | --- | --- | --- |"]
    for name, draws in (("by lengths", [None]), (f"at random, {DRAWS} draws", list(range(DRAWS)))):
        for give in range(4):
            chosen = [by_shape(3) if seed is None else at_random(3, seed) for seed in draws]
            errors = np.concatenate([each for choose in chosen for each in held_out_errors(alike, choose, give=give)])
            figures = (np.median(errors), errors.mean(), np.quantile(errors, 0.9))
            lines.append(" | ".join((f"| {give}", name, f"{len(errors)}", *(f"{each:.1%}" for each in figures))) + " |")
    return "\n".join(lines).replace("%", " %")


if __name__ == "__main__":
    sys.stdout.write(held_out_table("trtllm-0.14") + "\n")
