"""Beyond the paper: this year's market, latency limits, and fourteen days of demand."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from cuvee.evaluate.fortnight import Fortnight, fortnight
from cuvee.evaluate.grid import EvaluationOptions
from cuvee.evaluate.market import MarketResult, market_questions, on_the_market
from cuvee.evaluate.within_limits import LimitedResult, limited_questions, within_limits

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
    progress: Callable[[str], None] = lambda _text: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Beyond:
    """Every question of the three parts; Ctrl-C, as `interrupted` says, keeps those that are done."""
    options = BEYOND_QUICK if quick else BEYOND
    market: list[MarketResult] = []
    limited: list[LimitedResult] = []
    days: Fortnight | None = None
    try:
        for model, mix, maker in market_questions(quick=quick):
            result = on_the_market(model, mix, maker, options, progress=progress)
            progress("market")  # raises where the question was interrupted, whose plans then are not the best
            market.append(result)
        for question in limited_questions(quick=quick):
            held = within_limits(question, options, progress=progress)
            progress("limits")
            limited.append(held)
        found = fortnight(options, quick=quick, progress=progress)
        progress("done")
        days = found
    except KeyboardInterrupt:
        if not interrupted():
            raise
    return Beyond(tuple(market), tuple(limited), days)
