"""Beyond the paper: this year's market, latency limits, and fourteen days of demand."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cuvee.evaluate.fortnight import Fortnight, fortnight
from cuvee.evaluate.grid import EvaluationOptions
from cuvee.evaluate.market import MarketResult, market_questions, on_the_market
from cuvee.evaluate.results_file import KeptResults, header
from cuvee.evaluate.within_limits import LimitedResult, limited_questions, within_limits

T = TypeVar("T")

BEYOND = EvaluationOptions(horizon_s=600.0, most_requests=200_000)
"""Fleets of the market serve hundreds of requests a second: the end of a short burst would count for much."""

BEYOND_QUICK = EvaluationOptions(horizon_s=300.0, most_requests=20_000)


@dataclass(frozen=True)
class Beyond:
    """What was found, as far as it got; `fortnight` is the last."""

    market: tuple[MarketResult, ...]
    limited: tuple[LimitedResult, ...]
    fortnight: Fortnight | None

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def beyond(
    *,
    quick: bool = False,
    out: Path | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Beyond:
    """Every question of the three parts; Ctrl-C, as `interrupted` says, keeps those that are done.

    Parameters
        out       File of results, question by question; those it has already are not made again.
    Raises        InputError: `out` has results of something else, or of other code or options.
    """
    options = BEYOND_QUICK if quick else BEYOND
    kept = KeptResults(out, header(options, {}, evaluation="beyond"))

    def whole(make: Callable[[], T]) -> Callable[[], T]:
        """`make`, and then Ctrl-C: plans that were interrupted are not the best."""

        def made() -> T:
            result = make()
            progress("done")
            return result

        return made

    market: list[MarketResult] = []
    limited: list[LimitedResult] = []
    days: Fortnight | None = None
    try:
        for asked in market_questions(quick=quick):
            make = partial(on_the_market, *asked, options, progress=progress)
            market.append(kept.once(f"market: {', '.join(asked)}", MarketResult, whole(make)))
        for question in limited_questions(quick=quick):
            name = f"limits: {question.model}, {question.offers}, {question.rate_req_per_s:g} req/s"
            limit = partial(within_limits, question, options, progress=progress)
            limited.append(kept.once(name, LimitedResult, whole(limit)))
        days = kept.once("fortnight", Fortnight, whole(partial(fortnight, options, quick=quick, progress=progress)))
    except KeyboardInterrupt:
        if not interrupted():
            raise
    return Beyond(tuple(market), tuple(limited), days)
