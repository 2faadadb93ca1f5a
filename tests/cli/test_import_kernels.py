"""`cuvee import-kernels`: a table that `cuvee plan` takes, and refusals that name what was measured."""

import json

import pytest

from cuvee.profile.imports import kernel_rates
from tests.profile.imports.test_kernel_rates import Stub

ASKED = ("import-kernels", "scenario.yaml", "--engine", "tensorrt-llm")


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(kernel_rates, "KernelTables", Stub)


@pytest.mark.usefixtures("stub")
def test_a_table_to_plan_with(cuvee, small):
    """Rates for the question's types on its GPU types; planned with, a group says what it stands on, and it checks."""
    done = cuvee(*ASKED, "--save", "kernels.csv")
    assert done.code == 0, done.err
    assert "estimates, not measured" in done.out
    assert "left out: A40 TP1/2/4/8 bf16/bf16: no public figures to check against" in " ".join(done.out.split())
    plan = ("plan", "scenario.yaml", "--engine", "tensorrt-llm", "--throughput", "kernels.csv")
    printed = cuvee(*plan, "--set", "limits.max_gpus.A40=0", "--save-dir", "out")
    assert printed.code == 0
    assert "kernel tables +-28%" in printed.out
    assert "kernel tables, read 20" in printed.out
    saved = json.loads((small / "out" / "plan.json").read_text())
    kinds = {cell["provenance"] for group in saved["groups"] for cell in group["cells"]}
    assert "kernel tables" in kinds
    assert cuvee("check", "out/plan.json").code == 0
    assert cuvee(*ASKED, "--save", "kernels.csv").code == 2
    assert cuvee(*ASKED, "--save", "kernels.csv", "--force").code == 0


@pytest.mark.usefixtures("small", "stub")
def test_as_data(cuvee):
    """Rates with their errors and tables, and what is left out with its reason."""
    found = json.loads(cuvee(*ASKED, "--gpu", "H100", "--tp", "1", "--json").out)
    assert [(each["gpu"], each["tensor_parallel_size"]) for each in found["rates"]] == [("H100-SXM", 1)] * 2
    assert {each["relative_error"] for each in found["rates"]} == {0.28}
    assert found["left_out"] == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--gpu", "H100", "--tp", "8"), "51% off in the median of 8 measured points, 1.46 times the measured rate"),
        (("--gpu", "A40"), "no public figures to check against"),
        (("--gpu", "H100", "--engine", "vllm"), "only 6 measured points, 83% off"),
    ],
)
def test_refusals_need_no_extra(cuvee, options, words):
    """What is not sound is refused before the package is asked for."""
    refused = cuvee(*ASKED, *options)
    assert refused.code == 2
    assert words in " ".join(refused.err.split())
