"""The kernel tables of AIConfigurator beside public figures, by engine, GPU type, parallelism and precision.

Run: python -m tests.profile.imports.kernel_comparison    # needs the extra; prints the rows of `kernel_errors`
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cuvee.errors import CuveeError
from cuvee.profile import AnalyticProvider
from cuvee.profile.bands import BAND_SHARE, distance
from cuvee.profile.imports.aiconfigurator import MOST_SEQUENCES, KernelTables, NoTablesError
from cuvee.profile.imports.kernel_errors import KernelError, Served, engine_family, reason_against
from cuvee.profile.measurements import load_measurements
from cuvee.profile.points import CannotModelError, KnownPoint
from tests.profile.public_figures import COLLECTION


class Ratio(NamedTuple):
    """Predicted over measured rate of one point [-]: by the kernel tables, and by our own model."""

    tables: float
    model: float


Ratios = dict[Served, list[Ratio]]


def all_ratios() -> Ratios:
    """Of every saturated or closed-loop point of one stage that the tables know, by what served."""
    points: dict[str, list[KnownPoint]] = defaultdict(list)
    for row in load_measurements(COLLECTION):
        if row.is_doubtful or row.rate_req_per_s is None or row.request_rate_req_per_s is not None:
            continue
        try:
            point = KnownPoint.of(row)
        except (CannotModelError, CuveeError):
            continue
        if len(point.config.stages) == 1:
            points[engine_family(point.engine.name)].append(point)
    ratios: Ratios = defaultdict(list)
    for engine, mine in points.items():
        with KernelTables(engine) as tables:
            for point in mine:
                stage, config = point.config.stages[0], point.config
                sizes = (stage.gpu, stage.tensor_parallel_size)
                served = Served(engine, *sizes, config.precision, config.kv_precision)
                if (ratio := _ratio(tables, served, point)) is not None:
                    ratios[served].append(ratio)
    return ratios


def _ratio(tables: KernelTables, served: Served, point: KnownPoint) -> Ratio | None:
    """Of one point; None where the tables say nothing."""
    row = point.measurement
    try:
        found = tables.estimate(
            point.models[point.config.model],
            served.gpu,
            served.tensor_parallel_size,
            precision=served.precision,
            kv_precision=served.kv_precision,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            most_sequences=MOST_SEQUENCES if row.concurrency is None else row.concurrency / row.replicas,
        )
    except NoTablesError:
        return None
    model = AnalyticProvider(point.models, point.gpus, point.engine).table([point.config], [point.workload])
    measured = (row.rate_req_per_s or 0.0) / row.replicas
    return Ratio(found.rate_req_per_s / measured, float(model.rate_req_per_s[0, 0]) / measured)


def summary(served: Served, ratios: Sequence[Ratio]) -> KernelError:
    """Median error, error band and bias of the tables, to a hundredth."""
    median, band = errors_of([each.tables for each in ratios])
    bias = round(float(np.median([each.tables for each in ratios])), 2)
    return KernelError(served, len(ratios), median, band, bias)


def errors_of(ratios: Sequence[float]) -> tuple[float, float]:
    """Median of |predicted / measured - 1| and error band, the distance four in five are within [-], to a hundredth."""
    errors, distances = np.abs(np.array(ratios) - 1), [distance(each, 1.0) for each in ratios]
    band = np.quantile(distances, BAND_SHARE, method="higher")
    return round(float(np.median(errors)), 2), round(float(band), 2)


def of_sound(ratios: Ratios) -> list[Ratio]:
    """Those of all kinds of replicas that the tables are sound for."""
    return [each for served, found in ratios.items() if not reason_against(served) for each in found]


if __name__ == "__main__":
    found = all_ratios()
    for served, mine in found.items():
        error = summary(served, mine)
        print(f"{served}: {error.num_points} {error.median:.2f} {error.band:.2f} {error.bias:.2f}")  # noqa: T201
    sound = of_sound(found)
    print(f"all sound ones: {len(sound)} points")  # noqa: T201
    for name in Ratio._fields:
        median, band = errors_of([getattr(each, name) for each in sound])
        print(f"  {name}: {median:.2f} in the median, four in five within {band:.2f}")  # noqa: T201
