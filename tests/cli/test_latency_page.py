"""docs/latency.md: what the page shows is what its commands print."""

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "latency.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def words(line: str) -> str:
    return " ".join(line.split())


def test_the_tables_of_the_example_are_printed(cuvee):
    """Each line of the block stands in the output of the example."""
    block = next(text for kind, text in BLOCKS if not kind and "nearest misses" in text)
    result = cuvee("plan", "examples/latency_limits.yaml")
    printed = {words(line) for line in result.out.splitlines()}
    assert result.code == 0
    for line in block.splitlines():
        assert words(line) in printed, line


def test_the_example_and_the_page_state_the_same_limits():
    """The page quotes the scenario file."""
    (block,) = (text for kind, text in BLOCKS if kind == "yaml")
    assert block in (ROOT / "examples" / "latency_limits.yaml").read_text(encoding="utf-8")


def test_the_table_of_fleets_is_what_the_commands_plan(cuvee):
    """Rate and fleet of each command, with and without limits."""
    rows = re.findall(r"^\| `cuvee (.*?)` \| ([\d.]+) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 2
    fleets = []
    for command, rate, _ in rows:
        plan = json.loads(cuvee(*shlex.split(command), "--json").out)
        assert f"{plan['rate_req_per_s']:.2f}" == rate
        fleets.append(
            {
                (each["stages"][0]["gpu"], each["stages"][0]["tensor_parallel_size"]): each["copies"]
                for each in plan["groups"]
            }
        )
    assert fleets == [
        {("A40", 1): 7},
        {("H100-SXM", 1): 1, ("L40", 1): 1},
    ]


def test_the_limit_out_of_reach_names_one_that_works(cuvee):
    """The command of the page has no plan, and says which limit has one."""
    (command,) = re.findall(r"`cuvee (plan examples/latency_limits.yaml --slo .*?)`", PAGE)
    result = cuvee(*shlex.split(command))
    assert result.code == 1
    assert "chat: the nearest, " in words(result.out)
    (least,) = re.findall(r"--slo (chat:ttft=[\d.]+)", words(result.out))
    assert cuvee("plan", "examples/latency_limits.yaml", "--slo", least, "--budget", "40").code == 0
