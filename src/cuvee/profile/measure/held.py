"""A fixed number of requests under way: each stream sends its next request when it has the answer to its last."""

import asyncio
import math
from array import array
from collections.abc import Callable

import numpy as np

from cuvee.profile.measure.allowance import SpentError
from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.point import CUT_SHORT, OUT_OF_TIME, TIGHT, Window
from cuvee.profile.measure.prompts import whole_lengths
from cuvee.profile.measure.sending import Failures, Sender
from cuvee.profile.measure.statistics import BATCHES, Interval, Looks, interval_of
from cuvee.profile.measure.watch import FAILURE_PAUSE_S, Effort, Watch, end_all, start
from cuvee.units import rounded
from cuvee.workload.records import WorkloadType

FEWEST_ANSWERS = 20
"""Answers of a load at least, its warm-up included [-]."""


class Streams:
    """Streams of one workload type; their number can be changed, and all end with `close`.

    Notes       The first answer of a stream has a random share of the length: streams of equal requests that begin
                together would stay together, prefill together and decode together, as no real load does.
                That first round is the warm-up, and in no figure.
    """

    def __init__(self, sender: Sender, workload: WorkloadType, options: MeasureOptions) -> None:
        self._sender = sender
        self._workload = workload
        self._options = options
        self._random = np.random.default_rng(options.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: list[Answer] = []
        self._heard_s = array("d")
        self._failures = Failures(options.most_failed, is_answering=True)
        self._warming = self._live = self._limit = 0
        self._spent_s = math.inf
        self._error: BaseException | None = None

    async def close(self) -> None:
        """End all streams, with the requests that are under way."""
        await end_all(self._tasks)

    async def hold(self, concurrency: int, watch: Watch) -> Window | None:
        """Keep `concurrency` requests under way until the rate is known.

        Returns     the steady window; None where the time or the allowance ended before there was one.
        Raises      FailedError: too many failures; StoppedError; whatever else a stream ended with.
        """
        self._failures = Failures(self._options.most_failed, is_answering=True)
        began_s = watch.now_s
        self._limit = concurrency
        self._answers = [answer for answer in self._answers if answer.ended_s is None]
        while self._live < concurrency:
            self._live += 1
            self._warming += 1
            start(self._stream(), self._tasks, self._fail)
        while (self._warming or self._live > concurrency) and math.isinf(self._spent_s) and not watch.is_over:
            await watch.tick(watch.now_s)
            self._require_healthy()
        opened_s, effort = watch.now_s, Effort()
        warm_up_answers = sum(answer.is_answered for answer in self._answers)
        self._answers = [answer for answer in self._answers if answer.ended_s is None]
        del self._heard_s[:]
        looks = Looks(self._options.within)
        while not self._warming and self._live == concurrency:
            await watch.tick(opened_s)
            self._require_healthy()
            answers = tuple(each for each in self._answers if each.is_answered and each.is_full)
            closed_s = min(watch.now_s, self._spent_s)
            rate = self._rate(opened_s, closed_s)
            if math.isfinite(rate.relative):
                watch.say(f"{rounded(rate.mean)} req/s +-{rate.relative:.1%}")
            long_enough = closed_s - opened_s >= self._options.least_window_s
            fewest = max(FEWEST_ANSWERS - warm_up_answers, self._options.rounds * concurrency)
            tight = looks.add(rate)
            if tight is not None and long_enough and len(answers) >= fewest:
                ended, rate = TIGHT, tight
            elif self._spent_s <= watch.now_s:
                ended = CUT_SHORT
            elif watch.is_over:
                ended = OUT_OF_TIME
            else:
                continue
            if not answers or not rate.mean:
                return None
            return Window(
                answers, warm_up_answers, rate, closed_s - opened_s, opened_s - began_s, effort.busy_share, ended,
                self._failures.by_kind.copy(),
            )  # fmt: skip
        return None

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error

    def _require_healthy(self) -> None:
        if self._error is not None:
            raise self._error

    def _rate(self, opened_s: float, now_s: float) -> Interval:
        """Requests served since `opened_s` [req/s], by pieces of answers rather than by whole ones.

        Notes       Every request has the same number of tokens, so tokens a second over that number are requests a
                    second, and those come evenly where whole answers come in waves. A window may begin and end anywhere
                    in a step, so the interval is never narrower than one of them.
        """
        ended = [each for each in self._answers if each.ended_s is not None and each.token_s]
        good = [each for each in ended if not each.failure]
        full = [each.output_tokens for each in good if each.is_full]
        pieces = sum(len(each.token_s) for each in good)
        if not full or not now_s > opened_s:
            return Interval(0.0, math.inf)
        of_failed = sum(len(each.token_s) for each in ended if each.failure)
        tokens_a_piece = sum(each.output_tokens for each in good) / (pieces + of_failed)
        counts, _ = np.histogram(np.array(self._heard_s), bins=BATCHES, range=(opened_s, now_s))
        batch_s = (now_s - opened_s) / BATCHES
        found = interval_of(counts * tokens_a_piece / (sum(full) / len(full)) / batch_s)
        steps_s = [each.tpot_s for each in good if each.tpot_s is not None]
        step = sum(steps_s) / len(steps_s) / (now_s - opened_s) if steps_s else 1 / len(full)
        return Interval(found.mean, max(found.half_width, step * found.mean))

    async def _stream(self) -> None:
        is_first = True
        try:
            while self._live <= self._limit:
                input_tokens = whole_lengths(self._workload.input_tokens, self._random)
                output_tokens = whole_lengths(self._workload.output_tokens, self._random)
                if is_first:
                    output_tokens = int(self._random.integers(1, output_tokens + 1))
                answer = await self._sender.send(
                    input_tokens, output_tokens, heard=self._heard_s.append, begun=self._begin(is_full=not is_first)
                )
                self._failures.add(answer)
                self._warming -= is_first
                is_first = False
                if answer.failure:
                    await asyncio.sleep(FAILURE_PAUSE_S)
        except SpentError:
            self._spent_s = min(self._spent_s, asyncio.get_running_loop().time())
        else:
            self._live -= 1

    def _begin(self, *, is_full: bool) -> Callable[[Answer], None]:
        def begin(answer: Answer) -> None:
            answer.is_full = is_full
            self._answers.append(answer)

        return begin
