"""The settings of an evaluation: requests, stock, budget and models, and how each is planned and played."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product

from cuvee.errors import InputError
from cuvee.plan.question.problem import SearchOptions

MODELS = {
    "70b": {"llama-3-70b": 1.0},
    "8b": {"llama-3-8b": 1.0},
    "both": {"llama-3-8b": 0.8, "llama-3-70b": 0.2},
}
"""Models of the paper by the names of settings, with their shares of all requests [-]."""

MIXES = ("trace-1", "trace-2", "trace-3")
STOCKS = (1, 2, 3, 4)
BUDGETS_USD_PER_HOUR = (15.0, 30.0, 60.0)
"""The paper's (Jiang et al., ICML 2025, arXiv 2502.00722, sections 5.1 and 5.2)."""


@dataclass(frozen=True, order=True)
class Setting:
    """One question of an evaluation.

    Attributes
        models      A name of `MODELS`.
        requests    A mix of the paper, or the name of a trace.
        stock       Which of the paper's four [-].
    """

    models: str
    requests: str
    stock: int
    budget_usd_per_hour: float

    @property
    def name(self) -> str:
        """E.g. "70b/trace-1/stock-2/30"."""
        return f"{self.models}/{self.requests}/stock-{self.stock}/{self.budget_usd_per_hour:g}"


@dataclass(frozen=True)
class EvaluationOptions:
    """How settings are planned and played; results of other options cannot be continued.

    Attributes
        relative_gap     Proven gap at which plans stop [-].
        time_limit_s     Solver time of one plan [s].
        horizon_s        Makespan that a burst should have by the plan [s]: long enough that its end counts for little.
        most_requests    Of one simulation [-].
        load             Rate of arrival at which latencies are compared, as a share of what our plan serves of a
                         burst [-].
        seed             Of what is drawn.
    """

    relative_gap: float = 5e-3
    time_limit_s: float = 60.0
    horizon_s: float = 1200.0
    most_requests: int = 40_000
    load: float = 0.7
    seed: int = 0

    @property
    def search(self) -> SearchOptions:
        """How every plan is searched for."""
        return SearchOptions(relative_gap=self.relative_gap, time_limit_s=self.time_limit_s, seed=self.seed)


QUICK = EvaluationOptions(horizon_s=300.0, most_requests=5_000)
"""For a first look."""


def paper_grid(traces: Sequence[str] = ()) -> tuple[Setting, ...]:
    """Every setting of the paper, and the same with the requests of `traces`; stock by stock, so that a part of them
    has some of everything.
    """
    return tuple(
        Setting(models, requests, stock, budget)
        for stock, requests, models, budget in product(STOCKS, (*MIXES, *traces), MODELS, BUDGETS_USD_PER_HOUR)
    )


def quick_grid(traces: Sequence[str] = ()) -> tuple[Setting, ...]:
    """One stock and one budget of it."""
    return tuple(each for each in paper_grid(traces) if each.stock == 1 and each.budget_usd_per_hour == 30)


def chosen(settings: Sequence[Setting], patterns: Sequence[str]) -> tuple[Setting, ...]:
    """Those whose name fits a pattern such as "70b/*/stock-1/*"; all without patterns.

    Raises      InputError: a pattern that fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(each.name, pattern) for each in settings):
            raise InputError(
                f"--cells {pattern!r}",
                expected=f"names like {settings[0].name}, * for anything",
                remedy="e.g. --cells '70b/trace-1/*'",
            )
    fits = [each for each in settings if not patterns or any(fnmatchcase(each.name, one) for one in patterns)]
    return tuple(fits)


def for_robustness(settings: Sequence[Setting], patterns: Sequence[str]) -> tuple[Setting, ...]:
    """Those of `settings` whose robustness is asked for: the first alone where `patterns` chose none, for each has
    dozens of fleets planned anew.
    """
    return tuple(settings) if patterns else tuple(settings[:1])


def require_played(settings: Sequence[Setting], traces: Sequence[str]) -> None:
    """Raise InputError where none of `settings` is of a trace of those names: it was given for nothing."""
    for name in traces:
        if not any(each.requests == name for each in settings):
            raise InputError(
                f"--trace, named {name!r} in settings, and none of the settings chosen is of it",
                expected=f"settings of it, such as {replace(settings[0], requests=name).name}",
                remedy=f"add --cells '*/{name}/*', or leave --trace out",
            )
