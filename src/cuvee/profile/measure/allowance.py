"""What may be sent: the one place that every request passes before it leaves, counted over all runs of a record."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cuvee.errors import InputError
from cuvee.units import plural, rounded

LOT = 64
LOT_SHARE = 0.25
"""Requests noted as sent ahead of time [-], and as a share of those sent: writing them down takes time from measuring.
A run that is killed is counted with at most the larger of both too many, never with one too few."""

FEWEST_FOR_PACE = 20
"""Requests of a run from which their pace says something [-]."""


@dataclass(frozen=True)
class Caps:
    """Most that may be sent; None stands for no cap.

    Attributes
        max_requests    Requests, probes included [-].
        max_tokens      Prompt tokens and answer tokens asked for [tokens].
        max_time_s      Time in which requests are sent [s].
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_time_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_requests", "max_tokens", "max_time_s"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(
                    f"{name} = {value!r}", expected="a number above 0", remedy="leave it out for no such cap"
                )


@dataclass(frozen=True)
class Sent:
    """What was sent: requests [-], tokens [tokens], and the time it took [s].

    Attributes
        is_at_most    Whether a run was killed before it had counted: fewer were sent, see `LOT_SHARE`.
    """

    requests: int = 0
    tokens: int = 0
    seconds: float = 0.0
    is_at_most: bool = False


class SpentError(Exception):
    """Nothing more may be sent; says which cap is reached."""


class Allowance:
    """Counts what is sent, and refuses what would go beyond the caps.

    Parameters
        caps       Most that may be sent.
        sent       What earlier runs sent.
        now        Clock [s].
        keep       Writes down what counts as sent, before it is.

    Attributes
        refusal    Which cap refused a request; empty as long as none did.
    """

    def __init__(self, caps: Caps, sent: Sent, *, now: Callable[[], float], keep: Callable[[Sent], None]) -> None:
        self.caps = caps
        self._earlier = sent
        self._now = now
        self._keep = keep
        self._started_s = now()
        self.refusal = ""
        self._requests, self._tokens = sent.requests, sent.tokens
        self._kept_requests, self._kept_tokens = sent.requests, sent.tokens

    @property
    def sent(self) -> Sent:
        """What was sent until now, earlier runs included."""
        seconds = self._earlier.seconds + self._now() - self._started_s
        return Sent(self._requests, self._tokens, seconds, self._earlier.is_at_most)

    @property
    def noted(self) -> Sent:
        """What counts as sent where this run were to be killed now: as `sent`, or a little more."""
        sent = self.sent
        ahead = self._kept_requests > sent.requests or self._kept_tokens > sent.tokens
        requests, tokens = max(sent.requests, self._kept_requests), max(sent.tokens, self._kept_tokens)
        return Sent(requests, tokens, sent.seconds, sent.is_at_most or ahead)

    @property
    def remaining_s(self) -> float:
        """Time left to send in [s]; inf without a cap."""
        return math.inf if self.caps.max_time_s is None else self.caps.max_time_s - self.sent.seconds

    @property
    def remaining_at_pace_s(self) -> float:
        """Time until requests or tokens are spent at the pace of this run so far [s]; inf where nobody knows."""
        requests, tokens = self._requests - self._earlier.requests, self._tokens - self._earlier.tokens
        if requests < FEWEST_FOR_PACE:
            return math.inf
        pairs = (self.caps.max_requests, self._requests, requests), (self.caps.max_tokens, self._tokens, tokens)
        left = [(most - so_far) / of_this_run for most, so_far, of_this_run in pairs if most is not None]
        return max(min(left, default=math.inf), 0.0) * (self._now() - self._started_s)

    def require(self, tokens: int) -> None:
        """Raise SpentError unless one more request of `tokens` [tokens] may be sent."""
        caps = self.caps
        if caps.max_requests is not None and self._requests + 1 > caps.max_requests:
            self.refusal = f"{plural(caps.max_requests, 'request')} {self._are} (--max-requests)"
        elif caps.max_tokens is not None and self._tokens + tokens > caps.max_tokens:
            self.refusal = f"{self._tokens:,} of {caps.max_tokens:,} tokens {self._are} (--max-tokens)"
        elif self.remaining_s <= 0:
            raise self.out_of_time()
        else:
            return
        raise SpentError(self.refusal)

    @property
    def _are(self) -> str:
        return "may have been sent: a run was killed before it counted them" if self._earlier.is_at_most else "are sent"

    def out_of_time(self) -> SpentError:
        """Refuse everything from here on, as the time is over."""
        self.refusal = f"{rounded(self.caps.max_time_s or 0.0)} s are over (--max-seconds)"
        return SpentError(self.refusal)

    def take(self, tokens: int) -> int:
        """Count one request of `tokens` [tokens] as sent, before it is.

        Returns     its number over all runs, from 0.
        Raises      SpentError: it would go beyond a cap, and must not be sent.
        """
        self.require(tokens)
        if self._requests + 1 > self._kept_requests or self._tokens + tokens > self._kept_tokens:
            lot = max(LOT, int(LOT_SHARE * self._requests))
            self._kept_requests = self._requests + lot
            self._kept_tokens = self._tokens + lot * tokens
            self._keep(self.noted)
        self._requests += 1
        self._tokens += tokens
        return self._requests - 1

    def settle(self, more_tokens: int) -> None:
        """Count tokens by which a prompt came out longer than was meant; one that came out shorter stays as counted."""
        self._tokens += max(more_tokens, 0)
