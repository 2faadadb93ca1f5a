"""A claim held against figures: the cases it rests on, and whether it holds beside the errors of the figures."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from cuvee.study.comparison import Comparison

LEAST_FACTOR = 1.01
"""A factor below this is no difference, whatever its band [-]."""


class Verdict(StrEnum):
    """What figures say of a claim."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    TIE = "within the error"
    FAILS = "does not hold"


@dataclass(frozen=True)
class Case:
    """One place where a claim can be looked at.

    Attributes
        model         Model it is about; empty for several together.
        where         Workload type or mix, and GPU type, that it is about.
        ahead         What the claim has ahead.
        behind        The best of the rest.
        comparison    `ahead` over `behind`: above 1 as the claim has it.
    """

    model: str
    where: str
    ahead: str
    behind: str
    comparison: Comparison


@dataclass(frozen=True)
class Finding:
    """A claim with its cases, at least one."""

    claim: str
    cases: tuple[Case, ...]

    @property
    def num_as_claimed(self) -> int:
        """Cases in which what the claim has ahead is level or ahead [-]."""
        return sum(case.comparison.factor >= 1 / LEAST_FACTOR for case in self.cases)

    @property
    def num_level(self) -> int:
        """Of these, cases in which it is level, or so little behind or ahead that this is no difference [-]."""
        return sum(1 / LEAST_FACTOR <= case.comparison.factor < LEAST_FACTOR for case in self.cases)

    @property
    def num_ahead(self) -> int:
        """Cases as claimed in which it is really ahead [-]."""
        return self.num_as_claimed - self.num_level

    @property
    def factors(self) -> tuple[float, float]:
        """Smallest and largest factor over the cases [-]."""
        found = [case.comparison.factor for case in self.cases]
        return min(found), max(found)

    @property
    def num_clear(self) -> int:
        """Cases in which the order is outside the errors, either way [-]."""
        return sum(not case.comparison.is_tie for case in self.cases)

    @property
    def verdict(self) -> Verdict:
        """Holds where all cases are as claimed, fails where none is; a tie where no case is outside the errors."""
        if self.num_clear == 0:
            return Verdict.TIE
        if self.num_as_claimed == len(self.cases):
            return Verdict.HOLDS
        return Verdict.IN_PART if self.num_as_claimed else Verdict.FAILS


@dataclass(frozen=True)
class Observation:
    """One of the paper's observations on the figures of a study.

    Attributes
        title           What it says.
        cases           Every place where the factor can be looked at; at least one.
        paper           The factor that the paper gives for it.
        paper_about     What that factor is of.
        findings        What the paper says more closely, as far as the study can look at it.
        leaders         What is cheapest in each case, where the observation is that this hangs on the case.
    """

    title: str
    cases: tuple[Case, ...]
    paper: float
    paper_about: str
    findings: tuple[Finding, ...]
    leaders: tuple[str, ...] = ()

    @property
    def largest(self) -> Case:
        """The case with the largest factor: "up to"."""
        return max(self.cases, key=lambda case: case.comparison.factor)

    @property
    def largest_by_model(self) -> tuple[Case, ...]:
        """The same of each model apart, and of several together where there are cases of them."""
        models = dict.fromkeys(case.model for case in self.cases)
        of_model = ([case for case in self.cases if case.model == model] for model in models)
        return tuple(max(cases, key=lambda case: case.comparison.factor) for cases in of_model)

    @property
    def median(self) -> float:
        """Median of the factors over the cases [-]."""
        return median(case.comparison.factor for case in self.cases)

    @property
    def verdict(self) -> Verdict:
        """By the largest factor; in part where a finding does not hold wholly.

        What is the same in every case hangs on none of them, however much cheaper it is.
        """
        factor = self.largest.comparison
        if factor.factor < LEAST_FACTOR or len(set(self.leaders)) == 1:
            return Verdict.FAILS
        if factor.is_tie:
            return Verdict.TIE
        whole = all(finding.verdict in (Verdict.HOLDS, Verdict.TIE) for finding in self.findings)
        return Verdict.HOLDS if whole else Verdict.IN_PART
