"""What the paper reports, beside what was found here."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.evaluate.records import SettingResult
from cuvee.evaluate.summary import gains, three_of_the_paper

PAPER = "Jiang et al., ICML 2025 (arXiv 2502.00722), section 5"


@dataclass(frozen=True)
class Claim:
    """A figure of the paper beside ours.

    Attributes
        what      What is compared.
        paper     As the paper has it.
        mean, most    Ours, as played [-].
        paper_mean    The paper's mean [-]; None where it states none.
        why       Likely reason for the difference.
    """

    what: str
    paper: str
    mean: float
    most: float
    paper_mean: float | None
    why: str

    @property
    def difference(self) -> float | None:
        """Our mean less the paper's [-]."""
        return None if self.paper_mean is None else self.mean - self.paper_mean


BETTER_BASELINES = "our single-type fleets are planned too: parallelism and assignment are theirs to choose"
GIVEN_FLEETS = "our re-implementation searches exactly and spreads by true capacity; HexGen's search is genetic"
LATENCIES = "at one rate of arrival for all; settings in which the other fleet cannot keep up are left out"
TP = "best degree of each setting, pipelines and assignment chosen anew on our GPUs"
SPREAD_ALIKE = "our fleet, all types sent alike in proportion to what a replica serves of the mix"
TURNS = "requests in turn over replicas of very different size: the slowest decides, and here sizes differ more"
EVEN = "even money per GPU type with what is left spent on; deployment and assignment chosen anew"


def claims(results: Sequence[SettingResult]) -> Iterator[Claim]:
    """The paper's figures that the settings in `results` have something to say on."""
    single = [each for each in results if each.setting.models == "70b" and each.setting.requests.startswith("trace-")]
    both = [each for each in results if each.setting.models == "both" and each.setting.requests.startswith("trace-")]
    if single:
        yield from _of_one_model(single)
    if both:
        values = three_of_the_paper(both)
        if values:
            yield Claim(
                "both models, over H100, A6000 and 4090 fleets", "up to 35 %, mean 23 %",
                float(np.mean(values)), max(values), 0.23, BETTER_BASELINES,
            )  # fmt: skip


def _of_one_model(results: Sequence[SettingResult]) -> Iterator[Claim]:
    values = three_of_the_paper(results)
    if values:
        yield Claim(
            "70B, over H100, A6000 and 4090 fleets, unlimited", "up to 41 %, mean 25 %",
            float(np.mean(values)), max(values), 0.25, BETTER_BASELINES,
        )  # fmt: skip
    by_name = {each.name: each for each in gains(results)}
    rows = (
        ("over the best of the three", "5 to 23 %, mean 16 %", "best of H100, A6000, 4090, unlimited", 0.16,
         BETTER_BASELINES),
        ("over the best of all six", "not reported", "best single type, unlimited", None, BETTER_BASELINES),
        ("over HexGen, even composition", "up to 35 %, mean 29 %", "HexGen-like, even composition", 0.29, GIVEN_FLEETS),
        ("over HexGen, our composition", "up to 18 %, mean 14 %", "HexGen-like, our composition", 0.14, GIVEN_FLEETS),
    )  # fmt: skip
    for what, paper, name, mean, why in rows:
        if name in by_name:
            yield Claim(what, paper, by_name[name].played, max(by_name[name].values), mean, why)
    if (best := by_name.get("best of H100, A6000, 4090, unlimited")) is not None and not math.isnan(best.e2e):
        yield Claim("end-to-end time saved over it", "up to 54 %, mean 20 %", best.e2e, best.e2e_most, 0.20, LATENCIES)
    losses = (
        ("lost with an even composition", "15 to 27 %, mean 20 %", "even composition", 0.20, EVEN),
        ("lost with one TP degree", "21 to 34 %, mean 33 %", "one TP degree, our composition", 0.33, TP),
        ("lost with types spread by capacity", "not reported", "spread by capacity", None, SPREAD_ALIKE),
        ("lost with round-robin assignment", "25 to 32 %, mean 29 %", "round-robin assignment", 0.29, TURNS),
    )
    for what, paper, name, mean, why in losses:
        if name in by_name:
            yield Claim(what, paper, float(np.mean(by_name[name].losses)), max(by_name[name].losses), mean, why)
