"""docs/benchmark-study.md: what the page shows is what its commands print."""

import re
import shlex
from pathlib import Path

from cuvee.report.study_svg import study_to_svg
from cuvee.study.question import StudyQuestion

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmark-study.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]


def plain(line: str) -> str:
    """A line as it is compared: one space for many."""
    return " ".join(line.split())


def test_the_lines_shown_are_printed(cuvee, monkeypatch):
    """Every line below a command is among those it prints."""
    monkeypatch.chdir(ROOT)
    printed: set[str] = set()
    shown = 0
    for block in BLOCKS:
        for line in block:
            if line.startswith("$ cuvee "):
                if len(block) == 1 or not any(other[:1] != "$" for other in block):
                    continue  # commands without output are run by docs/examples.py
                arguments = shlex.split(line.partition("#")[0].removeprefix("$ cuvee "))
                printed = {plain(each) for each in cuvee(*arguments).out.splitlines()}
            else:
                shown += 1
                assert plain(line) in printed, line
    assert shown > 15


def test_the_factors_of_the_table_are_printed(cuvee):
    """Verdicts and factors of the three observations, at the paper's prices and at today's."""
    printed = cuvee("benchmark").out
    factors = re.findall(r"^  up to ([\d.]+) ", printed, re.MULTILINE)
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [123]\. ", line)]
    stated = [re.findall(r"up to ([\d.]+)", row)[1:] for row in rows]
    assert stated == [[factors[index], factors[index + 3]] for index in range(3)]
    verdicts = re.findall(r"^[123]\. .*: (holds in part|holds|within the error|does not hold)$", printed, re.MULTILINE)
    assert [re.findall(r"(holds in part|holds|within the error|does not hold)\**,", row) for row in rows] == [
        [verdicts[index], verdicts[index + 3]] for index in range(3)
    ]


def test_the_picture_is_of_today():
    """docs/benchmark-study.svg is what `make study` draws."""
    drawn = study_to_svg(StudyQuestion(offers=("market",)).answer().studies[0])
    assert (ROOT / "docs" / "benchmark-study.svg").read_text(encoding="utf-8") == drawn
