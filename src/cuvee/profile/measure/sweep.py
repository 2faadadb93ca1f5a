"""The sweep: for every workload type the saturated rate, then the latencies below it, within what may be sent."""

import asyncio
import math
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cuvee.catalog.models import load_model
from cuvee.errors import CuveeError, InputError
from cuvee.files import held_alone
from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.imports.setup import filled
from cuvee.profile.measure.allowance import Allowance, Caps, Sent, SpentError
from cuvee.profile.measure.client import Client, endpoint_root, open_client
from cuvee.profile.measure.estimate import first_concurrency
from cuvee.profile.measure.held import Streams
from cuvee.profile.measure.load_points import require_deployment, stated_deployment
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.paced import Arrivals
from cuvee.profile.measure.point import CUT_SHORT, Point, WantedLoad, point_of
from cuvee.profile.measure.probe import REFUSED, find_prompts, try_lengths
from cuvee.profile.measure.prompts import Prompts
from cuvee.profile.measure.record import (
    FirstAnswer,
    MeasureRecord,
    load_record,
    merged_types,
    require_same,
    save_record,
)
from cuvee.profile.measure.sending import Failures, Sender
from cuvee.profile.measure.server_facts import ServerFacts, ask_server
from cuvee.profile.measure.steps import next_load
from cuvee.profile.measure.watch import StoppedError, Watch, unless_stopped
from cuvee.units import rounded
from cuvee.workload.records import WorkloadType

Result = TypeVar("Result")

SEARCH_SHARE = 0.6
"""Share of a type's time that the search for saturation may take [-]; the latencies below it have the rest."""

LEVEL_SHARE = 0.5
"""Share of the time left to the search that a single load may take [-]."""

LONGEST_STEP_S = 600.0
"""Most time for one load [s], where no cap on the whole says less."""

SECONDS_PER_MINUTE = 60.0
USUAL_LEVELS = 4
"""Loads that a search for saturation takes as a rule [-]: for the time that is told to be left."""


@dataclass(frozen=True)
class Measuring:
    """What to measure, and how.

    Attributes
        url            Address of the endpoint.
        deployment     What is behind it.
        served_name    Model to name in requests; None for the one that is offered.
        key            Bearer token; None for none.
        path           Record file.
        anew           Whether to leave an earlier record aside.
    """

    url: str
    deployment: Deployment
    types: tuple[WorkloadType, ...]
    options: MeasureOptions
    caps: Caps
    path: Path
    served_name: str | None = None
    key: str | None = None
    anew: bool = False


@dataclass(frozen=True)
class Listeners:
    """Who is told what.

    Attributes
        say       A line on what is being done now.
        point     Each point, when it is measured, with all that was before it.
    """

    say: Callable[[str], None] = lambda _: None
    point: Callable[[MeasureRecord, Point], None] = lambda _, __: None


@dataclass(frozen=True)
class Measured:
    """How a run ended.

    Attributes
        record        All runs together.
        ended         Why it ended before all was measured; empty where all was.
        interrupted   Whether somebody asked for the end.
        notes         What is worth telling, one a line.
        failure       What the endpoint, once it had been measured at some loads, could not be measured further for.
    """

    record: MeasureRecord
    ended: str
    interrupted: bool
    notes: tuple[str, ...]
    failure: InputError | None = None


async def measure(asked: Measuring, stop: asyncio.Event, listeners: Listeners) -> Measured:
    """Measure, or go on measuring, until all is known, spent or stopped.

    Raises      InputError: no such endpoint, an earlier record of something else or one that another run is writing,
                too many failures before there is a point. StoppedError: somebody asked for the end before it began.
    """
    root = endpoint_root(asked.url)
    listeners.say(f"asking {root}")
    with held_alone(asked.path, "wait for it, or give another --save: two that share a record send more than its caps"):
        return await _measure(root, asked, stop, listeners)


async def _measure(root: str, asked: Measuring, stop: asyncio.Event, listeners: Listeners) -> Measured:
    async with open_client(root, key=asked.key, timeout_s=asked.options.timeout_s) as client:
        facts = await _facts(client, asked, stop)
        record = MeasureRecord(
            root, asked.deployment, asked.types, asked.options, facts, secrets.randbits(63), started=_today()
        )
        require_deployment(record)
        if asked.path.is_file() and not asked.anew:
            earlier = load_record(asked.path)
            require_same(earlier, record, asked.path)
            record = replace(earlier, options=asked.options, types=merged_types(earlier.types, asked.types))
        return await _Sweep(asked, record, client, stop, listeners).run()


async def _facts(client: Client, asked: Measuring, stop: asyncio.Event) -> ServerFacts:
    within_s = math.inf if asked.caps.max_time_s is None else asked.caps.max_time_s
    try:
        return await unless_stopped(ask_server(client, asked.served_name), stop, within_s=within_s)
    except TimeoutError:
        raise InputError(
            f"{client.url}: says nothing of itself for {rounded(within_s)} s (--max-seconds)",
            expected="an OpenAI-compatible endpoint that answers",
            remedy="see whether it hangs, or raise --max-seconds",
        ) from None


class _Sweep:
    """One run over all types."""

    def __init__(
        self, asked: Measuring, record: MeasureRecord, client: Client, stop: asyncio.Event, listeners: Listeners
    ) -> None:
        self._asked = asked
        self._record = record
        self._options = asked.options
        self._stop = stop
        self._listeners = listeners
        self._now = asyncio.get_running_loop().time
        self._allowance = Allowance(asked.caps, record.sent, now=self._now, keep=self._note)
        vocabulary = record.facts.vocabulary or _vocabulary(asked.deployment.model)
        prompts = Prompts.of(record.prompts or {"kind": "tokens"}, record.content_seed, vocabulary)
        self._vocabulary = vocabulary
        self._sender = Sender(
            client, self._allowance, prompts, served_name=record.facts.served_name, options=self._options
        )
        self._sender.extra = record.extra
        # What earlier runs could not finish is measured again, as soon as it may be.
        self._stale = {point.key for point in record.points if point.ended == CUT_SHORT}
        self._durations_s: list[float] = []
        self._steps_left = 0.0
        self._doing = ""
        self._notes: list[str] = []

    async def run(self) -> Measured:
        """Measure every type; writes the record however it ends."""
        ended, interrupted, failure = "", False, None
        try:
            await self._measure_all()
        except SpentError as error:
            ended = str(error)
        except StoppedError:
            interrupted = True
        except InputError as error:
            if not self._record.points:
                raise
            failure = error
        finally:
            self._keep(self._allowance.sent)
        return Measured(self._record, ended, interrupted, tuple(self._notes), failure)

    def _keep(self, sent: Sent) -> None:
        """Write the record, between loads."""
        self._record = replace(self._record, sent=sent)
        save_record(self._record, self._asked.path)

    def _note(self, sent: Sent) -> None:
        """Write what counts as sent, in the middle of a load: waiting for the disk would hold up all answers."""
        save_record(replace(self._record, sent=sent), self._asked.path, is_durable=False)

    async def _measure_all(self) -> None:
        served = filled(self._asked.deployment, stated_deployment(self._record.facts))
        fitting = [each for each in self._asked.types if self._fits(each)]
        waiting = [each for each in fitting if self._next(each, first=1, search=True) is not None]
        if waiting and self._record.prompts is None:
            self._say("probing")
            probing = find_prompts(
                self._sender, self._options, seed=self._record.content_seed, vocabulary=self._vocabulary
            )
            await self._in_time(probing)
            self._record = replace(self._record, prompts=self._sender.prompts.known(), extra=self._sender.extra)
        for index, workload in enumerate(waiting):
            self._doing = f"{index + 1}/{len(waiting)} {workload.name}"
            self._steps_left = (len(waiting) - index) * (USUAL_LEVELS + len(self._options.loads))
            slice_s = self._allowance.remaining_s / (len(waiting) - index)
            if await self._try(workload):
                alone_s = self._record.tried[workload.name].end_to_end_s
                first = first_concurrency(served, workload, self._options, alone_s=alone_s)
                await self._measure_type(workload, first, slice_s)

    async def _in_time(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` gives; raises SpentError where the time is over first, and StoppedError."""
        try:
            return await unless_stopped(work, self._stop, within_s=self._allowance.remaining_s)
        except TimeoutError:
            self._notes.append(f"{self._doing or 'probing'}: no whole answer when the time was over")
            raise self._allowance.out_of_time() from None

    def _fits(self, workload: WorkloadType) -> bool:
        needed, context = math.ceil(workload.input_tokens + workload.output_tokens), self._record.facts.max_context
        if context is None or needed <= context:
            return True
        self._notes.append(f"{workload.name}: left out: {needed:,} tokens, and the engine takes {context:,} at most")
        return False

    def _next(self, workload: WorkloadType, *, first: int, search: bool) -> WantedLoad | None:
        points = [point for point in self._record.points_of(workload) if point.key not in self._stale]
        return next_load(points, self._options, first=first, search=search)

    async def _try(self, workload: WorkloadType) -> bool:
        """Whether the server takes requests of this type; sends one, once."""
        tried = self._record.tried.get(workload.name)
        if tried is None:
            self._say("a first request")
            lengths = (max(1, round(workload.input_tokens)), max(1, round(workload.output_tokens)))
            answer = await self._in_time(try_lengths(self._sender, *lengths))
            if answer.failure and answer.failure not in REFUSED:
                failures = Failures(self._options.most_failed, is_answering=bool(self._record.points))
                failures.add(answer)
                raise failures.error()
            if answer.failure:
                tried = FirstAnswer(refused=f"{answer.failure} {answer.failure_text}".strip())
            else:
                tried = FirstAnswer(end_to_end_s=answer.end_to_end_s, impossible=answer.impossible)
            self._record = replace(self._record, tried={**self._record.tried, workload.name: tried})
            self._keep(self._allowance.noted)
        if tried.refused:
            self._notes.append(f"{workload.name}: left out: {tried.refused}")
        if tried.impossible:
            self._notes.append(
                f"{workload.name}: the server states {tried.impossible}, which cannot be: lengths are those asked for, "
                "and rates rest on counted pieces"
            )
        return not tried.refused

    async def _measure_type(self, workload: WorkloadType, first: int, slice_s: float) -> None:
        end_s = self._now() + slice_s
        search_end_s = self._now() + (SEARCH_SHARE if self._options.loads else 1.0) * slice_s
        tokens = math.ceil(workload.input_tokens + workload.output_tokens)
        streams = Streams(self._sender, workload, self._options)
        search = True
        try:
            while load := self._next(workload, first=first, search=search and self._now() < search_end_s):
                self._allowance.require(tokens)
                if load.concurrency is not None:
                    share_s = (search_end_s - self._now()) * LEVEL_SHARE
                    search = await self._step(workload, load, share_s, streams)
                else:
                    await streams.close()
                    left = sum(share not in self._loads_done(workload) for share in self._options.loads)
                    share_s = (end_s - self._now()) / max(left, 1)
                    if not await self._step(workload, load, share_s, streams):
                        return
        finally:
            await streams.close()

    def _loads_done(self, workload: WorkloadType) -> set[float | None]:
        return {point.load for point in self._record.points_of(workload) if point.key not in self._stale}

    async def _step(self, workload: WorkloadType, load: WantedLoad, share_s: float, streams: Streams) -> bool:
        """Measure one load; whether there is a point of it."""
        began_s = self._now()
        watch = Watch(
            began_s + min(share_s, self._allowance.remaining_s, LONGEST_STEP_S),
            self._stop,
            lambda text: self._say(f"{_named(load)}: {text}"),
        )
        self._say(_named(load))
        why = ""
        if load.concurrency is not None:
            window = await streams.hold(load.concurrency, watch)
        else:
            arrivals = Arrivals(
                self._sender,
                workload,
                self._options,
                rate_req_per_s=load.request_rate_req_per_s or 0.0,
                warm_up_s=self._record.tried[workload.name].end_to_end_s,
            )
            window = await arrivals.measure(watch)
            if arrivals.is_overrun:
                why = f": more than {self._options.max_concurrency:,} were under way (--max-concurrency)"
        self._durations_s.append(self._now() - began_s)
        self._steps_left = max(self._steps_left - 1, 1)
        if window is None:
            self._require_more()
            took_s = self._now() - began_s
            self._notes.append(f"{workload.name}: {_named(load)}: no steady window in {took_s:,.0f} s{why}")
            return False
        point = point_of(workload.name, load, window, _today())
        self._stale.discard(point.key)
        self._record = replace(self._record.with_point(point), prompts=self._sender.prompts.known())
        self._keep(self._allowance.noted)
        self._listeners.point(self._record, point)
        self._require_more()
        return True

    def _require_more(self) -> None:
        """End where a request was refused: what comes next would be cut short as well."""
        if self._allowance.refusal:
            raise SpentError(self._allowance.refusal)

    def _say(self, text: str) -> None:
        self._listeners.say(", ".join(filter(None, (f"{self._doing} {text}".strip(), self._time_left()))))

    def _time_left(self) -> str:
        at_most_s, at_pace_s = self._allowance.remaining_s, self._allowance.remaining_at_pace_s
        expected_s = math.inf
        if self._durations_s:
            expected_s = sum(self._durations_s) / len(self._durations_s) * self._steps_left
        about_s = min(expected_s, at_pace_s)
        if math.isfinite(about_s):
            return f"about {_duration(min(about_s, at_most_s))} left"
        return "" if math.isinf(at_most_s) else f"{_duration(at_most_s)} left at most"


def _duration(seconds: float) -> str:
    return f"{max(seconds, 0):.0f} s" if seconds < 2 * SECONDS_PER_MINUTE else f"{seconds / SECONDS_PER_MINUTE:.0f} min"


def _named(load: WantedLoad) -> str:
    if load.concurrency is not None:
        return f"{load.concurrency} under way"
    return f"{load.share:.0%} load"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _vocabulary(model: str | None) -> int | None:
    """Entries of the model's vocabulary [-]; None where the model is not known."""
    with suppress(CuveeError):
        return load_model(model or "").vocab_size
    return None
