"""Every value carries provider, source, date and error band, whichever provider gives it."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cuvee
from cuvee.errors import InputError
from cuvee.profile import (
    ENGINES,
    NOT_STATED,
    AnalyticProvider,
    ChainProvider,
    Provenance,
    RateSource,
    ReplicaConfig,
    Stage,
    ThroughputProvider,
    ThroughputTable,
    find_engine,
)
from cuvee.profile.calibrated import CalibratedProvider, CalibratedReplica
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.measured import MeasuredRate, TableProvider
from cuvee.profile.pessimism import PessimisticProvider
from cuvee.profile.phases import AnalyticPhases, Phase, PhaseRates
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

CONFIGS = [even_config("llama-3-8b", "H100-SXM"), even_config("llama-3-8b", "A40")]
KINDS = [workload(500, 100), workload(1000, 50)]
ANALYTIC = AnalyticProvider(MODELS, GPUS, VLLM)
RATE = MeasuredRate("llama-3-8b", (("H100-SXM", 1),), None, "bf16", None, None, 500, 100, 9.0, 0.05)
MEASURED = TableProvider((replace(RATE, source="a run", date="2026-09-30"), replace(RATE, input_tokens=1000)))
REPLICA = CalibratedReplica("H100-SXM", "llama-3-8b", "bf16", "bf16", 1, 1, VLLM.name, {"compute": 1.1})
CALIBRATED = CalibratedProvider((replace(REPLICA, source="points", date="2026-11-01"),), MODELS, GPUS, VLLM)
LIMITS = {"llama-3-8b": LatencyObjective(LatencyLimits(ttft_s=1.0))}
CHAIN = ChainProvider(MEASURED, ChainProvider(CALIBRATED, ANALYTIC))
PROVIDERS: dict[str, ThroughputProvider] = {
    "AnalyticProvider": ANALYTIC,
    "TableProvider": MEASURED,
    "CalibratedProvider": CALIBRATED,
    "ChainProvider": CHAIN,
    "LimitedProvider": LimitedProvider(CHAIN, ANALYTIC, LIMITS),
    "PessimisticProvider": PessimisticProvider(CHAIN, 0.5, VLLM),
    "PhaseRates": PhaseRates(AnalyticPhases(ANALYTIC), Phase.DECODE, (1.0,)),
}


def source(table: ThroughputTable, row: int = 0, column: int = 0) -> RateSource:
    """Where a value comes from, of which somebody knows."""
    found = table.source_of(row, column)
    assert found is not None
    return found


def test_every_provider_is_here():
    """Whatever class of the package fills a throughput table is held to what stands below."""
    found = {
        node.name
        for path in Path(cuvee.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(each, ast.FunctionDef) and each.name == "table" for each in node.body)
    }
    assert found == {"ThroughputProvider", *PROVIDERS}


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_value_says_where_it_comes_from(name):
    """Of each value that fits: provider, source, date, and a band that is a share or not known."""
    table = PROVIDERS[name].table(CONFIGS, KINDS)
    assert table.fits.any()
    for row, column in np.argwhere(table.fits):
        found = source(table, row, column)
        assert isinstance(found.provider, Provenance)
        assert found.source.strip()
        assert found.date == NOT_STATED or found.date.startswith("20")
        assert table.relative_error[row, column] >= 0


def test_dates_are_those_of_the_measurement_the_fit_and_the_constants():
    """A measured row has its own, one without has none; fitted ones that of the fit, estimates that of the engine."""
    table = CHAIN.table([*CONFIGS, replace(CONFIGS[0], precision="fp8")], [KINDS[0], workload(900, 90)])
    dates = [[source(table, row, column).date for column in range(2)] for row in range(3)]
    assert dates == [["2026-09-30", "2026-11-01"], [VLLM.date, VLLM.date], [VLLM.date, VLLM.date]]
    assert source(MEASURED.table(CONFIGS, [workload(1000, 100)])).date == NOT_STATED


def test_a_limited_rate_says_what_it_was_before():
    """A measured rate under latency limits is calibrated, with the date of the measurement; an estimate stays one."""
    provider = LimitedProvider(CHAIN, ANALYTIC, LIMITS)
    table = provider.table(CONFIGS, KINDS[:1])
    assert source(table).provider is Provenance.CALIBRATED
    assert source(table).source.startswith("a run, measured")
    assert source(table).date == "2026-09-30"
    assert source(table, 1) == ANALYTIC.source


@pytest.mark.parametrize(("forgotten", "said"), [("source", ("", "2026")), ("date", ("a run", " "))])
def test_a_source_says_all(forgotten, said):
    """A provider that leaves source or date empty fails at once, with what to say instead."""
    with pytest.raises(InputError, match=f"measured rates without a {forgotten}"):
        RateSource(Provenance.MEASURED, *said)


FORGOTTEN: dict[str, Callable[[ThroughputTable], ThroughputTable]] = {
    "no source": lambda table: replace(table, sources=()),
    "no index": lambda table: replace(table, source=np.full(table.source.shape, -1)),
    "another index": lambda table: replace(table, source=np.full(table.source.shape, 1)),
    "no band": lambda table: replace(table, relative_error=np.full(table.source.shape, np.nan)),
    "a negative band": lambda table: replace(table, relative_error=np.full(table.source.shape, -0.1)),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_table_that_forgets_is_refused(name):
    """A value that fits without a source or band is an error where it is made, not a blank in the plan."""
    with pytest.raises(InputError):
        FORGOTTEN[name](ANALYTIC.table(CONFIGS, KINDS))


def test_what_does_not_fit_needs_no_source():
    """An empty table of rates knows nothing, and says so."""
    table = TableProvider(()).table(CONFIGS, KINDS)
    assert not table.fits.any()
    assert table.source_of(0, 0) is None
    assert set(table.provenance.flat) == {None}


UNKNOWN = ("A40", "A6000", "L40")


@pytest.mark.parametrize("engine", [*ENGINES.values(), find_engine("vllm-0.99")], ids=lambda engine: engine.name)
def test_no_accuracy_is_claimed_where_no_sound_figures_exist(engine):
    """No row of a table of errors in the docs is of one of them. Tempting: doubtful points of an A40."""
    provider = AnalyticProvider(MODELS, GPUS, engine)
    configs = [
        even_config("llama-3-8b", gpu, size, precision=precision)
        for gpu in UNKNOWN
        for size in (1, 4)
        for precision in ("bf16", "fp8", "int4")
    ]
    mixed = ReplicaConfig("llama-3-8b", (Stage("H100-SXM", 1, 20), Stage("A40", 1, 12)))
    table = provider.table([*configs, mixed], KINDS)
    assert table.fits.all()
    assert np.isinf(table.relative_error).all()


def test_no_page_states_an_error_of_theirs():
    """No row of a table of errors in the docs is of one of them. Tempting: doubtful points of an A40 as figures."""
    for path in (Path(cuvee.__file__).parents[2] / "docs").glob("*.md"):
        heading: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.split("|")[1:-1]] if line.startswith("|") else []
            heading = (heading or cells) if cells else []
            is_of_errors = any("median" in cell.lower() for cell in heading)
            assert not (is_of_errors and {*UNKNOWN} & set(cells)), f"{path.name}: {line}"
