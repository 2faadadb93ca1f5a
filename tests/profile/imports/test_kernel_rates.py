"""Kernel tables of AIConfigurator: which are taken, which refused for what was measured, and what a table of them says.

The package itself stands in for by a stub here; `test_aiconfigurator.py` runs it.
"""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from cuvee.catalog.model import ModelSpec
from cuvee.errors import InputError
from cuvee.profile import Provenance, load_throughput_table
from cuvee.profile.imports import aiconfigurator, kernel_rates
from cuvee.profile.imports.aiconfigurator import KernelEstimate, NoTablesError
from cuvee.profile.imports.kernel_errors import (
    COMMON_BAND,
    ERRORS,
    FEWEST_POINTS,
    MOST_BAND,
    MOST_MEDIAN,
    NOT_COMPARED,
    Served,
    reason_against,
    require_sound,
    sound,
)
from cuvee.profile.imports.kernel_rates import AskedModel, rates_to_csv
from tests.profile.imports.kernel_comparison import errors_of
from tests.profile.imports.samples import write
from tests.profile.setups import MODELS, even_config, workload

KINDS = (workload(500, 100), workload(1000, 50))
SMALL = AskedModel(MODELS["llama-3-8b"], ("bf16",), "bf16", KINDS)
EIGHT_BIT = AskedModel(MODELS["llama-3-8b"], ("fp8",), "fp8", KINDS)
TENSORRT = "tensorrt-llm-0.14"


class Stub:
    """One request a second and GPU; knows no model of 80 layers."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def __enter__(self) -> "Stub":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def estimate(self, model: ModelSpec, gpu: str, tensor_parallel_size: int, **asked: object) -> KernelEstimate:
        """As the package's; nothing but the size counts."""
        if model.num_layers == 80:
            raise NoTablesError("weights and one request do not fit by the package's count")
        return KernelEstimate(float(tensor_parallel_size), 0.02, 64, f"tables on {gpu}")


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(kernel_rates, "KernelTables", Stub)


def read(*models: AskedModel, gpus=("H100-SXM",), engine: str = TENSORRT, **options):
    return kernel_rates.kernel_rates(models, gpus, engine=engine, date="2026-11-22", **options)


@pytest.mark.parametrize("error", ERRORS.values(), ids=str)
def test_sound_is_what_was_measured_to_be(error):
    """Eight points or more, a fifth off at most in the median, two fifths for four points in five; nothing else."""
    is_sound = error.num_points >= FEWEST_POINTS and error.median <= MOST_MEDIAN and error.band <= MOST_BAND
    assert (reason_against(error.served) == "") == is_sound
    assert error.median <= error.band
    assert error.stated_band >= COMMON_BAND


@pytest.mark.parametrize(
    ("engine", "gpu", "size", "precision", "words"),
    [
        ("tensorrt-llm", "L40S", 4, "fp8", "48% off in the median of 9 measured points, 0.52 times"),
        ("tensorrt-llm", "L40S", 8, "fp8", "85% off"),
        ("tensorrt-llm", "H100-SXM", 8, "bf16", "51% off"),
        ("tensorrt-llm", "H100-SXM", 8, "fp8", "four in five of 9 measured points are within 47% only"),
        ("vllm", "H100-SXM", 1, "bf16", "only 6 measured points, 83% off"),
        ("tensorrt-llm", "A40", 1, "bf16", NOT_COMPARED),
        ("tensorrt-llm", "L40", 1, "fp8", NOT_COMPARED),
        ("tensorrt-llm", "H200-SXM", 1, "bf16", NOT_COMPARED),
    ],
)
def test_a_refusal_names_what_was_measured(engine, gpu, size, precision, words):
    """Or that nothing was; and what the tables are sound for."""
    with pytest.raises(InputError) as refused:
        require_sound(Served(engine, gpu, size, precision, precision))
    assert words in refused.value.arrived
    assert "20% in the median" in refused.value.expected
    assert ("L40S TP1 fp8/fp8" if engine == "tensorrt-llm" else "none with vllm") in refused.value.expected
    assert "calibrate" in refused.value.remedy


def test_half_is_as_far_as_double():
    """Bands are counted as everywhere: a rate at half is 100 % off both ways. Tempting: |0.5 - 1|, half as wide."""
    assert errors_of([0.5, 0.5, 1.0, 1.0]) == (0.25, 1.0)
    assert errors_of([2.0, 2.0, 1.0, 1.0]) == (0.5, 1.0)


def test_no_accuracy_is_claimed_where_no_sound_figures_exist():
    """A40, A6000 and L40 have no row at all, of whatever engine."""
    assert not {"A40", "A6000", "L40"} & {served.gpu for served in ERRORS}
    assert {served.gpu for served in sound("tensorrt-llm")} == {"A100-80GB-SXM", "H100-SXM", "H200-SXM", "L40S"}


@pytest.mark.usefixtures("stub")
def test_sound_replicas_have_rates_and_others_a_reason():
    """Of bf16 on H100, TP1 and TP2 have rates for each type; TP4 and TP8 are left out for their errors."""
    found = read(SMALL)
    assert {each.served.tensor_parallel_size for each in found.rates} == {1, 2}
    assert len(found.rates) == 2 * len(KINDS)
    assert {each.served.tensor_parallel_size: each.reason.partition("%")[0] for each in found.left_out} == {
        4: "30", 8: "51",
    }  # fmt: skip


@pytest.mark.usefixtures("stub")
def test_what_was_named_and_is_not_sound_is_an_error():
    """So is a question of which nothing is sound: then with a figure where there is one."""
    with pytest.raises(InputError, match="H100-SXM TP8, bf16 with a bf16 cache: 51% off"):
        read(SMALL, sizes=(1, 8), must_be_sound=True)
    with pytest.raises(InputError, match="L40S TP4, fp8 with a fp8 cache: 48% off"):
        read(EIGHT_BIT, gpus=("A40", "L40S"), sizes=(4,))
    with pytest.raises(InputError, match="no public figures"):
        read(SMALL, gpus=("A40",))


@pytest.mark.usefixtures("stub")
def test_what_the_tables_lack_is_left_out_with_their_word():
    """A model that does not fit beside one that does; alone it is an error."""
    large = AskedModel(MODELS["llama-3-70b"], ("bf16",), "bf16", KINDS)
    found = read(SMALL, large, sizes=(1,))
    assert {each.model for each in found.rates} == {"llama-3-8b"}
    assert [each.reason for each in found.left_out] == ["weights and one request do not fit by the package's count"]
    with pytest.raises(InputError, match="do not fit"):
        read(large, sizes=(1,))


@pytest.mark.usefixtures("stub")
def test_the_table_says_what_it_is(tmp_path):
    """Read by `cuvee plan --throughput`: provider, source, date and a band that is never narrower than all together."""
    path = write(tmp_path, "kernels.csv", rates_to_csv(read(SMALL)))
    configs = [even_config("llama-3-8b", "H100-SXM", 2), even_config("llama-3-8b", "H100-SXM", 4)]
    table = load_throughput_table(path, engine=TENSORRT).table(configs, KINDS)
    assert table.rate_req_per_s.tolist() == [[2.0, 2.0], [0.0, 0.0]]
    source = table.source_of(0, 0)
    assert source is not None
    assert source.provider is Provenance.KERNEL_TABLES
    assert source.source == "aiconfigurator-core 0.12.0, tables on H100-SXM"
    assert source.date == "2026-11-22"
    assert np.unique(table.relative_error[0]) == [COMMON_BAND]
    with pytest.raises(InputError, match="no usable row"):
        load_throughput_table(path, engine="vllm")


def test_an_engine_without_tables():
    """It is named, with those that have some."""
    with pytest.raises(InputError, match="engine 'ours-1'"):
        read(SMALL, engine="ours-1")


@pytest.mark.parametrize(("installed", "words"), [(None, "is not installed"), ("0.13.0", "aiconfigurator-core 0.13.0")])
def test_only_the_version_that_was_measured(monkeypatch, installed, words):
    """Without the package, or with another version, the remedy is the extra."""

    def version(name):
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(aiconfigurator, "version", version)
    with pytest.raises(InputError, match=words) as refused:
        read(SMALL)
    assert "cuvee[aiconfigurator]" in refused.value.remedy


@pytest.mark.parametrize("limit", [1, 2, 17, 300, 511, 512])
def test_the_largest_batch_that_fits(limit):
    """Found by halving, whatever it is; nothing above is tried in vain."""
    assert aiconfigurator._largest(lambda batch: batch <= limit, 512) == limit


def test_the_page_has_these_figures():
    """docs/kernel-tables.md lists every kind of replica that was compared, with its figures and what follows."""
    page = (Path(__file__).parents[3] / "docs" / "kernel-tables.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        [
            each.served.engine,
            each.served.gpu,
            str(each.served.tensor_parallel_size),
            f"{each.served.precision} / {each.served.kv_precision}",
            str(each.num_points),
            f"{each.median:.0%}",
            f"{each.band:.0%}",
            f"{each.bias:.2f}",
            "refused" if each.reason_against else "sound",
        ]
        for each in ERRORS.values()
    ]
    for limit in (MOST_MEDIAN, MOST_BAND, COMMON_BAND):
        assert f"{limit:.0%}".replace("%", " %") in page
