"""Rates from AIConfigurator's kernel tables, where they are sound, as a table that `cuvee plan --throughput` reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cuvee.catalog.model import ModelSpec
from cuvee.catalog.tables import csv_text
from cuvee.errors import InputError
from cuvee.profile.imports.aiconfigurator import BACKENDS, PACKAGE, VERSION, KernelEstimate, KernelTables, NoTablesError
from cuvee.profile.imports.kernel_errors import (
    ERRORS,
    KernelError,
    Served,
    engine_family,
    reason_against,
    require_sound,
)
from cuvee.profile.measured import same_precision
from cuvee.profile.table import Provenance
from cuvee.workload.records import WorkloadType

SIZES = (1, 2, 4, 8)
"""Tensor parallel sizes looked at where none is asked for [-]."""


@dataclass(frozen=True)
class AskedModel:
    """A model, at the precisions that are allowed, and its kinds of requests."""

    model: ModelSpec
    precisions: tuple[str, ...]
    kv_precision: str
    workloads: tuple[WorkloadType, ...]


@dataclass(frozen=True)
class KernelRate:
    """What the tables say of one replica on one kind of requests, and the error of such replicas."""

    model: str
    served: Served
    workload: WorkloadType
    estimate: KernelEstimate
    error: KernelError


@dataclass(frozen=True)
class LeftOut:
    """A kind of replica without rates, and why: what was measured of it, or what the tables lack."""

    model: str
    served: Served
    reason: str


@dataclass(frozen=True)
class KernelRates:
    """Rates of every kind of replica that the tables are sound for.

    Attributes
        date        Of the reading.
    """

    date: str
    rates: tuple[KernelRate, ...]
    left_out: tuple[LeftOut, ...]


def kernel_rates(
    models: Sequence[AskedModel],
    gpus: Sequence[str],
    *,
    engine: str,
    date: str,
    sizes: Sequence[int] = SIZES,
    must_be_sound: bool = False,
) -> KernelRates:
    """Rates of one replica of each model, on each GPU type and at each tensor parallel size.

    Parameters
        engine           Name of engine settings.
        must_be_sound    Whether a kind of replica that the tables are not sound for is an error, as where it was named.
    Raises               InputError: an engine without tables, the package not installed, nothing sound.
    """
    family = engine_family(engine)
    if family not in BACKENDS:
        raise InputError(f"kernel tables for engine {engine!r}", expected=f"one of {', '.join(BACKENDS)}")
    asked = [(each, served) for each in models for served in _served(each, gpus, family, sizes)]
    refused = [LeftOut(each.model.name, served, reason) for each, served in asked if (reason := reason_against(served))]
    if refused and (must_be_sound or len(refused) == len(asked)):
        require_sound(max(refused, key=lambda each: each.served in ERRORS).served)  # a figure says more than none
    rates: list[KernelRate] = []
    with KernelTables(family) as tables:
        for each, served in asked:
            if reason_against(served):
                continue
            try:
                rates += _of(tables, each, served)
            except NoTablesError as error:
                refused.append(LeftOut(each.model.name, served, str(error)))
    if not rates:
        last = refused[-1]
        raise InputError(
            f"kernel tables of {last.model} for {last.served}: {last.reason}", expected="at least one rate to plan with"
        )
    return KernelRates(date, tuple(rates), tuple(refused))


def _served(asked: AskedModel, gpus: Sequence[str], engine: str, sizes: Sequence[int]) -> Iterator[Served]:
    """Every kind of replica asked for, whose size splits the model's heads."""
    for gpu in gpus:
        for precision in dict.fromkeys(same_precision(each) for each in asked.precisions):
            for size in sizes:
                if asked.model.num_heads % size == 0:
                    yield Served(engine, gpu, size, precision, same_precision(asked.kv_precision))


def _of(tables: KernelTables, asked: AskedModel, served: Served) -> list[KernelRate]:
    """Rates of one kind of replica; raises NoTablesError."""
    return [
        KernelRate(
            asked.model.name,
            served,
            kind,
            tables.estimate(
                asked.model,
                served.gpu,
                served.tensor_parallel_size,
                precision=served.precision,
                kv_precision=served.kv_precision,
                input_tokens=kind.input_tokens,
                output_tokens=kind.output_tokens,
            ),
            require_sound(served),
        )
        for kind in asked.workloads
    ]


def rates_to_csv(found: KernelRates) -> str:
    """The table as text, in the columns of our own tables of rates."""
    rows = [_row(rate, found.date) for rate in found.rates]
    return csv_text(list(rows[0]), (list(row.values()) for row in rows))


def _row(rate: KernelRate, date: str) -> dict[str, object]:
    served = rate.served
    return {
        "model": rate.model,
        "gpu": served.gpu,
        "tensor_parallel_size": served.tensor_parallel_size,
        "precision": served.precision,
        "kv_precision": served.kv_precision,
        "engine": served.engine,
        "input_tokens": f"{rate.workload.input_tokens:.10g}",
        "output_tokens": f"{rate.workload.output_tokens:.10g}",
        "rate_req_per_s": f"{rate.estimate.rate_req_per_s:.6g}",
        "tpot_s": f"{rate.estimate.tpot_s:.6g}",
        "relative_error": rate.error.stated_band,
        "provenance": Provenance.KERNEL_TABLES,
        "source": f"{PACKAGE} {VERSION}, {rate.estimate.tables}",
        "date": date,
    }
