"""How to measure: what counts as tight, as saturated and as too many failures."""

import math
from dataclasses import dataclass

from cuvee.errors import InputError

APIS = ("completions", "chat")
USUAL_FIRST = 16
LARGEST_SEED = 2**63 - 1
PROMPTS = ("auto", "tokens", "text")


@dataclass(frozen=True)
class MeasureOptions:
    """How to measure.

    Attributes
        api                   Which of `APIS` is called.
        prompts               Token ids, text, or ids where the server takes them: one of `PROMPTS`.
        within                Half-width of a rate's 95 % interval at which a steady window ends [-].
        latency_within        The same of the mean time of a request, and a third of that of mean TTFT [-].
        loads                 Shares of the saturated rate at which requests arrive at random [-].
        max_concurrency       Most requests under way at once [-].
        first_concurrency     Requests under way where the search for saturation begins [-]; None: half of what the
                              throughput model says a replica runs, or `USUAL_FIRST` where it does not know.
        least_window_s        Shortest steady window [s].
        least_requests        Fewest requests of a latency point [-]: below 100 there is no 99th percentile.
        rounds                Answers for each request held under way in a steady window, at least [-].
        least_growth          Growth of the rate that counts as none, whatever its interval [-].
        timeout_s             Longest wait for the next byte of an answer [s].
        most_failed           Share of failed requests at which measuring is given up [-].
        seed                  Of arrival times, from 0 to `LARGEST_SEED`.
    """

    api: str = "completions"
    prompts: str = "auto"
    within: float = 0.05
    latency_within: float = 0.10
    loads: tuple[float, ...] = (0.25, 0.5, 0.7, 0.85)
    max_concurrency: int = 1024
    first_concurrency: int | None = None
    least_window_s: float = 10.0
    least_requests: int = 100
    rounds: int = 1
    least_growth: float = 0.02
    timeout_s: float = 300.0
    most_failed: float = 0.10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("api", APIS), ("prompts", PROMPTS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected=f"one of {', '.join(known)}")
        if self.api == "chat" and self.prompts == "tokens":
            raise InputError(
                "token ids as prompts of the chat API", expected="text, which is all that it takes",
                remedy="leave out --prompts tokens, or --api chat",
            )  # fmt: skip
        for name in ("within", "latency_within", "most_failed"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected="a share above 0 and below 1")
        for load in self.loads:
            if not 0 < load < 1:
                raise InputError(
                    f"load {load!r}", expected="shares of the saturated rate above 0 and below 1",
                    remedy="e.g. --loads 0.25,0.5,0.85; at 1 the queue grows for as long as it lasts",
                )  # fmt: skip
        for name in ("least_window_s", "timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected="a time above 0 s")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"seed = {self.seed!r}", expected=f"a whole number from 0 to {LARGEST_SEED:,}")
        for name in ("max_concurrency", "first_concurrency", "least_requests", "rounds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} = {value!r}", expected="a whole number of 1 or more")
