"""Requests that arrive at random at a fixed rate, however long the answers take: the latency at a load."""

import asyncio
from dataclasses import replace
from itertools import takewhile

import numpy as np

from cuvee.profile.imports.doubts import SHORT_S
from cuvee.profile.measure.allowance import SpentError
from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.point import CUT_SHORT, OUT_OF_TIME, OVERRUN, TIGHT, Window
from cuvee.profile.measure.prompts import whole_lengths
from cuvee.profile.measure.sending import Failures, Sender
from cuvee.profile.measure.statistics import BATCHES, TIGHT_LOOKS, interval_of, settled_from
from cuvee.profile.measure.watch import Effort, Watch, end_all, start
from cuvee.workload.records import WorkloadType

TTFT_TIMES = 3.0
"""Times wider that the interval of mean TTFT may be than that of the whole request [-]: near saturation it is all
queueing, and takes ten times the requests."""


class Arrivals:
    """Poisson arrivals of one workload type.

    Parameters
        rate_req_per_s    Of arrivals [req/s].
        warm_up_s         Time whose arrivals count for nothing, at least [s]: that of a request.
    """

    def __init__(
        self,
        sender: Sender,
        workload: WorkloadType,
        options: MeasureOptions,
        *,
        rate_req_per_s: float,
        warm_up_s: float,
    ) -> None:
        self._sender = sender
        self._workload = workload
        self._options = options
        self._rate_req_per_s = rate_req_per_s
        self._warm_up_s = warm_up_s
        # The rate is part of the seed: loads would otherwise see the same bursts, and err alike.
        seed = (options.seed, round(rate_req_per_s * 1e6))
        self._gaps, self._lengths = np.random.default_rng((*seed, 0)), np.random.default_rng((*seed, 1))
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: list[Answer] = []
        self._failures = Failures(options.most_failed, is_answering=True)
        self._under_way = 0
        self._ended = ""
        self._error: BaseException | None = None

    @property
    def is_overrun(self) -> bool:
        """Whether it ended as more requests were under way than may be."""
        return self._ended == OVERRUN

    async def measure(self, watch: Watch) -> Window | None:
        """Send requests until the latencies are known.

        Returns     the steady window; None where the time or the allowance ended before there was one, or too many
                    were under way before it was long enough to say something.
        Raises      FailedError: too many failures; StoppedError; whatever else a request ended with.
        """
        began_s, effort = watch.now_s, Effort()
        start(self._arrive(), self._tasks, self._fail)
        in_a_row = 0
        try:
            while True:
                await watch.tick(began_s)
                if self._error is not None:
                    raise self._error
                window = self._window(began_s, effort)
                watch.say(f"{len(window.answers) if window else 0} answers")
                in_a_row = in_a_row + 1 if window is not None and self._is_tight(window) else 0
                if in_a_row == TIGHT_LOOKS:
                    return window
                if self._ended or watch.is_over:
                    ended = self._ended or OUT_OF_TIME
                    if window is None or (self.is_overrun and window.window_s < SHORT_S):
                        return None
                    return replace(window, ended=ended)
        finally:
            await end_all(self._tasks)

    def _window(self, began_s: float, effort: Effort) -> Window | None:
        """What counts by now: arrivals after the warm-up, up to the first that is still under way.

        Notes       Those that arrived later and are back already were the quick ones, and would make it look better.
        """
        past = list(takewhile(lambda answer: answer.ended_s is not None, self._answers))
        kept = [each for each in past if each.is_answered and each.started_s >= began_s + self._warm_up_s]
        kept = kept[settled_from([each.end_to_end_s for each in kept]) :]
        if len(kept) < 2:
            return None
        opened_s, closed_s = kept[0].started_s, kept[-1].started_s
        window_s = closed_s - opened_s
        if window_s <= 0:
            return None
        ends_s = [each.ended_s for each in self._answers if each.ended_s is not None and not each.failure]
        counts, _ = np.histogram(ends_s, bins=BATCHES, range=(opened_s, closed_s))
        rate = interval_of(counts * BATCHES / window_s)
        return Window(
            tuple(kept),
            sum(each.is_answered for each in past) - len(kept),
            rate,
            window_s,
            opened_s - began_s,
            effort.busy_share,
            TIGHT,
            self._failures.by_kind.copy(),
        )

    def _is_tight(self, window: Window) -> bool:
        options = self._options
        if window.window_s < options.least_window_s or len(window.answers) < options.least_requests:
            return False
        end_to_end = interval_of([each.end_to_end_s for each in window.answers])
        ttft = interval_of([each.ttft_s for each in window.answers])
        return end_to_end.relative <= options.latency_within and ttft.relative <= TTFT_TIMES * options.latency_within

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error

    async def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while not self._ended:
            next_s += float(self._gaps.exponential(1 / self._rate_req_per_s))
            await asyncio.sleep(max(0.0, next_s - loop.time()))
            if self._under_way >= self._options.max_concurrency:
                self._ended = OVERRUN
                return
            self._under_way += 1
            start(self._request(), self._tasks, self._fail)

    async def _request(self) -> None:
        try:
            answer = await self._sender.send(
                whole_lengths(self._workload.input_tokens, self._lengths),
                whole_lengths(self._workload.output_tokens, self._lengths),
                begun=self._answers.append,
            )
            self._failures.add(answer)
        except SpentError:
            self._ended = CUT_SHORT
        finally:
            self._under_way -= 1
