"""docs/prefill-decode.md: what the page shows is what its commands print."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "prefill-decode.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLE = "examples/prefill_decode.yaml"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def words(line: str) -> str:
    return " ".join(line.split())


@pytest.mark.parametrize(("holding", "options"), [("TP1, decode", ()), ("does not pay", ("network_gbit_per_s=5",))])
def test_the_output_of_the_example_is_printed(cuvee, holding, options):
    """Each line of the block stands in the output of the example, over the fast network and over the slow one."""
    block = next(text for kind, text in BLOCKS if not kind and holding in text)
    result = cuvee("plan", EXAMPLE, *(word for option in options for word in ("--set", option)))
    printed = {words(line) for line in result.out.splitlines()}
    assert result.code == 0
    for line in block.splitlines():
        assert words(line) in printed, line


def test_the_example_is_the_one_on_the_page():
    """The page quotes the scenario file."""
    (block,) = (text for kind, text in BLOCKS if kind == "yaml")
    assert block in (ROOT / EXAMPLE).read_text(encoding="utf-8")


def test_the_rates_of_the_table_are_those_of_the_plan(cuvee):
    """Requests a second per $/h of each kind of replica on 824 prompt and 253 answer tokens."""
    whole, apart = (
        json.loads(cuvee("plan", EXAMPLE, "--set", f"disaggregate={yes}", "--json").out) for yes in ("false", "true")
    )
    rates = {
        (group["stages"][0]["gpu"], group.get("phase", "both")): cell["rate_req_per_s"] / group["price_usd_per_hour"]
        for plan in (whole, apart)
        for group in plan["groups"]
        for cell in group["cells"]
        if cell["workload"] == "in824-out253"
    }
    assert f"| A40 | {rates['A40', 'both']:.2f} | not in the plan | {rates['A40', 'decode']:.2f} |" in PAGE
    assert f"| RTX 4090 | {rates['RTX4090', 'both']:.2f} | {rates['RTX4090', 'prefill']:.2f} | not in" in PAGE
    both_pools = 1 / (1 / rates["RTX4090", "prefill"] + 1 / rates["A40", "decode"])
    assert f"= {both_pools:.2f}, a tenth more" in PAGE


def test_the_networks_of_the_table_decide_as_it_says(cuvee):
    """Rate and gain of the best plan over each network."""
    for networks, rate, apart in re.findall(
        r"^\| ([\d, and]+) Gb/s \| ([\d.]+) req/s \| (.*?) \|$", PAGE, re.MULTILINE
    ):
        for network in re.findall(r"\d+", networks):
            out = cuvee("plan", EXAMPLE, "--set", f"network_gbit_per_s={network}").out
            assert f"{rate} req/s" in out, network
            assert f"prefill and decode apart: {'allowed, ' if 'not' in apart else ''}{apart}" in out, network


def test_least_cost_is_what_the_page_says(cuvee):
    """The same question at 25 req/s."""
    plan = json.loads(cuvee("plan", EXAMPLE, "--objective", "cost", "--rate", "25", "--json").out)
    apart, whole = plan["disaggregation"]["objective"], plan["disaggregation"]["ordinary_objective"]
    assert f"costs {apart:.2f} in place of {whole:.2f} $/h" in PAGE
