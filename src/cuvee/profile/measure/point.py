"""One measured point: a load that was held or paced, and what was seen at it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.statistics import Array, Interval, interval_of, percentiles_of

TIGHT = "tight"
OUT_OF_TIME = "its share of the time was over"
CUT_SHORT = "nothing more was to be sent"
OVERRUN = "too many were under way"


@dataclass(frozen=True)
class Spread:
    """One latency over the requests of a point.

    Attributes
        count            Requests, or gaps between tokens [-].
        half_width_s     Of the mean's 95 % interval [s]; None where there were too few.
        percentiles_s    [s], by percentile.
    """

    count: int
    mean_s: float
    half_width_s: float | None
    percentiles_s: dict[int, float] = field(default_factory=dict)

    @staticmethod
    def of(values_s: Sequence[float] | Array) -> "Spread | None":
        """Spread of values in the order they came; None without any."""
        if not len(values_s):
            return None
        found = interval_of(values_s)
        half_width_s = None if math.isinf(found.half_width) else found.half_width
        return Spread(len(values_s), found.mean, half_width_s, percentiles_of(values_s))


@dataclass(frozen=True)
class Point:
    """What was seen at one load.

    Attributes
        type_name                 Workload type.
        concurrency               Requests held under way [-]; None where they were paced.
        request_rate_req_per_s    Rate at which they arrived at random [req/s]; None where they were held.
        load                      Of the saturated rate [-]; None where they were held.
        input_tokens, output_tokens    Mean lengths seen [tokens].
        rate_req_per_s            Served in the steady window [req/s].
        half_width_req_per_s      Of its 95 % interval [req/s]; None where there were too few.
        ttft, tpot, inter_token, end_to_end    TPOT leaves out the first token; gaps are those between pieces.
        completed, warm_up_answers    Requests answered in the window, and before it [-].
        failed, short             Requests that failed, warm-up included, and answers that were too short [-].
        window_s, warm_up_s       Steady window, and what came before it [s].
        cached_share              Prompt tokens that a prefix cache had [-].
        busy_share                Time that the load generator's own processor was busy [-].
        ended                     Why the window ended.
        date                      Of the measurement.
    """

    type_name: str
    concurrency: int | None
    request_rate_req_per_s: float | None
    load: float | None
    input_tokens: float
    output_tokens: float
    rate_req_per_s: float
    half_width_req_per_s: float | None
    ttft: Spread | None
    tpot: Spread | None
    inter_token: Spread | None
    end_to_end: Spread | None
    completed: int
    warm_up_answers: int
    failed: int
    short: int
    window_s: float
    warm_up_s: float
    cached_share: float
    busy_share: float
    ended: str
    date: str
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether a number of requests was held under way."""
        return self.concurrency is not None

    @property
    def key(self) -> tuple[str, int | None, float | None]:
        """What makes two points measurements of one load."""
        return self.type_name, self.concurrency, self.load

    @property
    def interval(self) -> Interval:
        """Rate with its interval [req/s]."""
        half_width = self.half_width_req_per_s
        return Interval(self.rate_req_per_s, math.inf if half_width is None else half_width)


@dataclass(frozen=True)
class WantedLoad:
    """How requests are to come: `concurrency` held under way, or `request_rate_req_per_s` at random."""

    concurrency: int | None = None
    request_rate_req_per_s: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Window:
    """A steady window as it was measured; times on the loop's clock.

    Attributes
        answers    Those that count, in the order to take them; failed ones are none of them.
        warm_up_answers    Those before [-].
        rate       Served [req/s].
    """

    answers: tuple[Answer, ...]
    warm_up_answers: int
    rate: Interval
    window_s: float
    warm_up_s: float
    busy_share: float
    ended: str
    failures: Counter[str]


def point_of(type_name: str, load: WantedLoad, window: Window, date: str) -> Point:
    """The point of a window with at least one answer."""
    answers = window.answers
    tpot_s = [answer.tpot_s for answer in answers if answer.tpot_s is not None]
    gaps_s = np.concatenate([np.diff(answer.token_s) for answer in answers])
    prompt_tokens = sum(answer.input_tokens for answer in answers)
    return Point(
        type_name=type_name,
        concurrency=load.concurrency,
        request_rate_req_per_s=load.request_rate_req_per_s,
        load=load.share,
        input_tokens=prompt_tokens / len(answers),
        output_tokens=sum(answer.output_tokens for answer in answers) / len(answers),
        rate_req_per_s=window.rate.mean,
        half_width_req_per_s=None if math.isinf(window.rate.half_width) else window.rate.half_width,
        ttft=Spread.of([answer.ttft_s for answer in answers]),
        tpot=Spread.of(tpot_s),
        inter_token=Spread.of(gaps_s),
        end_to_end=Spread.of([answer.end_to_end_s for answer in answers]),
        completed=len(answers),
        warm_up_answers=window.warm_up_answers,
        failed=window.failures.total(),
        short=sum(answer.is_short for answer in answers),
        window_s=window.window_s,
        warm_up_s=window.warm_up_s,
        cached_share=sum(answer.cached_tokens for answer in answers) / prompt_tokens,
        busy_share=window.busy_share,
        ended=window.ended,
        date=date,
        failures=dict(window.failures),
    )
