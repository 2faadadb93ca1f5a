"""AIConfigurator's own package behind the adapter. `make test-aiconfigurator` installs the extra and runs this."""

import os

import pytest

from cuvee.errors import InputError
from cuvee.profile.imports.aiconfigurator import KernelTables, NoTablesError, require_installed
from cuvee.profile.imports.kernel_errors import COMMON_BAND, ERRORS
from tests.profile.imports.kernel_comparison import all_ratios, errors_of, of_sound, summary
from tests.profile.public_figures import COLLECTION
from tests.profile.setups import MODELS

REQUIRED = "CUVEE_REQUIRE_AICONFIGURATOR"
"""Environment variable with which a missing extra is a failure."""


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    """Skips where the extra is not installed, or not in the version that was measured."""
    try:
        require_installed()
    except InputError as error:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(f"{error.arrived}: make test-aiconfigurator installs it")


@pytest.fixture(scope="module")
def tables():
    with KernelTables("tensorrt-llm") as opened:
        yield opened


def rate(tables: KernelTables, model: str = "llama-3.1-8b", gpu: str = "H100-SXM", size: int = 1, **changes) -> float:
    asked = {"precision": "fp8", "kv_precision": "fp8", "input_tokens": 1000, "output_tokens": 1000, **changes}
    return tables.estimate(MODELS[model], gpu, size, **asked).rate_req_per_s


def test_a_published_point(tables):
    """Llama 3.1 8B in fp8 on an H100, 1000/1000: within a fifth of the 16 req/s of TensorRT-LLM's own page."""
    assert rate(tables) == pytest.approx(16, rel=0.2)


def test_models_do_not_share_results(tables):
    """70B after 8B is several times slower. Tempting: one engine object for both, whose memory names no model."""
    small, large = rate(tables), rate(tables, "llama-3.1-70b", size=2)
    assert large < small / 3
    assert rate(tables) == small


def test_fewer_requests_under_way_serve_less(tables):
    """A load held to eight requests runs a batch of eight, not what memory allows."""
    assert rate(tables, most_sequences=8) < rate(tables) / 4


def test_batches_are_those_that_fit(tables):
    """Longer requests leave room for fewer sequences, by the package's own count."""
    sizes = [
        tables.estimate(
            MODELS["llama-3.1-8b"], "L40S", 1, precision="fp8", kv_precision="fp8",
            input_tokens=length, output_tokens=1000,
        ).num_sequences
        for length in (500, 5000, 20_000)
    ]  # fmt: skip
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] >= 1


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("llama-3.1-8b", {"gpu": "A40"}),
        ("llama-3.1-8b", {"gpu": "A100-80GB-SXM"}),
        ("llama-3.1-8b", {"precision": "mxfp4"}),
        ("llama-3.1-70b", {"gpu": "L40S"}),
        ("mixtral-8x7b", {}),
    ],
    ids=["no such GPU", "no fp8 there", "no such precision", "does not fit", "experts"],
)
def test_what_the_tables_lack(tables, model, changes):
    """Ends as the reason, not as an error of the package."""
    with pytest.raises(NoTablesError):
        rate(tables, model, **changes)


@pytest.mark.skipif(not COLLECTION.is_file(), reason="measured_throughput.csv is not beside this checkout")
def test_the_measured_errors_are_those_of_the_code():
    """Every row of `kernel_errors` comes out again, and none is missing."""
    ratios = all_ratios()
    assert {served: summary(served, found) for served, found in ratios.items()} == ERRORS
    assert errors_of([each.tables for each in of_sound(ratios)])[1] == COMMON_BAND
