"""The gateway: takes requests, recognises them, has them answered by the replica that the plan and the load say."""

from __future__ import annotations

import asyncio
import math
import zlib
from time import monotonic
from typing import TYPE_CHECKING

from cuvee.routing.policies import NONE
from cuvee.serve.counters import Counters
from cuvee.serve.endpoints import POST_PATHS, Endpoint
from cuvee.serve.exchange import Exchange
from cuvee.serve.facts import BodyError, Facts, read_facts
from cuvee.serve.health import Health
from cuvee.serve.own_answers import answer_itself, refuse, refuse_unknown
from cuvee.serve.promises import limit_s
from cuvee.serve.replica import GONE
from cuvee.serve.upstream import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.serve.engine_metrics import EngineMetrics
    from cuvee.serve.http_in import ClientConnection
    from cuvee.serve.journal import Journal
    from cuvee.serve.keys import Account
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.replica import Replica
    from cuvee.serve.request import Request
    from cuvee.serve.serving import ServedState, Serving

FREE_RETRIES = 10.0
"""Retries that need no requests before them [-]."""

TICK_S = 0.25
"""How often waits are looked at [s]."""


class Gateway:
    """What all connections share.

    Attributes
        clients           Connections of clients.
        buffered_bytes    Bodies that are being received, or wait behind another answer [bytes].
        is_draining       Whether it is about to end: no new connections, and each ends with its answer.
        exchanges         Requests that have arrived and are not over.
        began             Called with each exchange once it is recognised: spans hang on it.
        ended             Called with each exchange that is over: access log and trace hang on it.
        journals          Files that get a line for each request.
        engine_metrics    Asks the engines of themselves; None where nobody does.
        refused_early     Called with each request that was refused before it became one, its status and our code.
    """

    def __init__(self, serving: Serving, options: ServeOptions) -> None:
        self.serving = serving
        self.options = options
        self.clients: set[ClientConnection] = set()
        self.exchanges: set[Exchange] = set()
        self.buffered_bytes = 0
        self.is_draining = False
        self.counters = Counters()
        self.health = Health(self)
        self.retries_left = FREE_RETRIES
        self.began: list[Callable[[Exchange], None]] = []
        self.ended: list[Callable[[Exchange], None]] = []
        self.refused_early: list[Callable[[Request, int, str], None]] = []
        self.journals: list[Journal] = []
        self.engine_metrics: EngineMetrics | None = None
        self._settling: asyncio.Task[None] | None = None
        self._is_settled = True

    # What connections of clients call.

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer one request."""
        if request.method == b"POST":
            endpoint = POST_PATHS.get(request.path)
            if endpoint is not None:
                self._admit(client, request, endpoint)
                return
        accounts = self.serving.accounts
        is_known = accounts is None or request.path == b"/health" or accounts.find(request.authorization) is not None
        if is_known:
            answer_itself(self.serving, client, request)
        else:
            refuse_unknown(client, request)

    def _admit(self, client: ClientConnection, request: Request, endpoint: Endpoint) -> None:
        """Read what routing needs, and send the request on or have it wait."""
        account = None
        if self.serving.accounts is not None:
            account = self.serving.accounts.find(request.authorization)
            if account is None:
                refuse_unknown(client, request)
                return
            request.authorization = b""
        try:
            facts = read_facts(request.body, answers=endpoint.answers)
        except BodyError as error:
            refuse(client, request, 400, "invalid_body", str(error), error.param)
            return
        limits = None
        if request.slo_ttft or request.slo_tpot:
            try:
                limits = (limit_s(request.slo_ttft), limit_s(request.slo_tpot))
            except ValueError:
                refuse(client, request, 400, "invalid_slo", "x-slo-ttft-ms and x-slo-tpot-ms are numbers above 0")
                return
        models = self.serving.models
        model = models.get(facts.model)
        if model is None:
            if facts.model or len(models) != 1:
                status = (404, "model_not_found", f"the model {facts.model[:200]!r} is not served here")
                missing = (400, "model_missing", "the request names no model")
                refuse(client, request, *(status if facts.model else missing), "model")
                return
            model = next(iter(models.values()))
        exchange = Exchange(self, client, request, facts, model)
        exchange.endpoint = endpoint.name
        if account is not None:
            exchange.key = account.key.name
        if limits is not None:
            exchange.is_urgent = True
            exchange.ttft_limit_s, exchange.tpot_limit_s = limits
        self._recognise(exchange, model, facts)
        client.answering = exchange
        self.exchanges.add(exchange)
        if account is not None and account.is_limited and not self._may_begin(exchange, account):
            return
        if self.retries_left < FREE_RETRIES:
            self.retries_left += self.options.retry_share
        if model.line.waits(exchange.row) or not self._place(exchange):
            self._queue(exchange, model)

    def _recognise(self, exchange: Exchange, model: ServedState, facts: Facts) -> None:
        """The row of the plan that a request is taken for, by its prompt and the answer that is expected."""
        prompt = model.prompts.tokens(facts)
        answer = model.answers.expected(model.types, prompt, exchange.key)
        if facts.most_tokens and answer > facts.most_tokens:
            answer = facts.most_tokens
        exchange.prompt_tokens, exchange.least_tokens = prompt, prompt + facts.least_tokens
        exchange.expected_tokens = answer = max(answer, facts.least_tokens, 1)
        exchange.row = model.types.row(prompt, answer)
        if facts.beginning:
            exchange.prefix = zlib.crc32(facts.beginning.encode("utf-8", "replace")) & 0x7FFFFFFF
        facts.text = facts.beginning = None
        for tell in self.began:
            tell(exchange)

    def _may_begin(self, exchange: Exchange, account: Account) -> bool:
        """Book a request on its key, or refuse it until there is room for it."""
        tokens = exchange.prompt_tokens * exchange.facts.prompts + exchange.expected_tokens * exchange.sequences
        wait_s = account.wait_s(exchange.arrived_s, tokens)
        if wait_s > 0:
            retry = b"retry-after: %d\r\n" % max(math.ceil(wait_s), 1)
            exchange.refuse(429, "rate_limit_exceeded", "the key has used up what it may ask for", headers=retry)
            return False
        account.begin(tokens)
        exchange.account = account
        exchange.booked_tokens = tokens
        return True

    def _place(self, exchange: Exchange) -> bool:
        """Send a request to the replica that is to have it; False where it has to wait."""
        place = self.serving.router.choose(exchange.row, exchange.prefix, exchange.least_tokens)
        if place == NONE:
            return False
        if exchange.is_urgent:
            place = self._keeping(exchange, place)
        self._send(exchange, place)
        return True

    def _keeping(self, exchange: Exchange, place: int) -> int:
        """The replica that keeps the limits a client asks for, where another than the one at `place` does."""
        row, router, holds = exchange.row, self.serving.router, self.serving.promises.holds
        ttft_s, tpot_s = exchange.ttft_limit_s, exchange.tpot_limit_s
        waited_s = monotonic() - exchange.arrived_s

        def keeps(group: int, occupancy: float) -> bool:
            fits = exchange.least_tokens <= router.room[group]
            return fits and holds(row, group, occupancy, ttft_s - waited_s, tpot_s)

        return router.choose_keeping(row, place, keeps)

    def _send(self, exchange: Exchange, place: int) -> None:
        serving = self.serving
        replica = serving.replicas[place]
        exchange.taken = serving.router.take(exchange.row, place, exchange.sequences)
        replica.held += 1
        replica.num_requests += 1
        model, workload = serving.row_names[exchange.row]
        exchange.workload = workload
        exchange.counters = self.counters.of(model, workload, replica.group)
        exchange.counters.sent += 1
        exchange.send(replica)

    def _queue(self, exchange: Exchange, model: ServedState) -> None:
        """Have a request wait for room; refuse it where nobody serves it or too many wait."""
        if not self.serving.router.is_served(exchange.row):
            exchange.refuse(503, "no_replica", "no replica of the model is up", headers=b"retry-after: 2\r\n")
        elif model.line.is_full:
            wait_s = min(max(round(self.options.queue_s / 4), 1), 60)
            exchange.refuse(
                429, "queue_full", "too many requests wait already", headers=b"retry-after: %d\r\n" % wait_s
            )
        else:
            exchange.deadline_s = exchange.arrived_s + self.options.queue_s
            model.line.add(exchange)

    # What exchanges call.

    def may_retry(self, exchange: Exchange) -> bool:
        """Whether a request may go to another replica, and there is one; what a dead one held costs no retry."""
        replica = exchange.replica
        assert replica is not None
        return (
            not exchange.has_begun
            and exchange.row != NONE
            and exchange.num_sent < self.options.attempts
            and (self.retries_left >= 1.0 or not replica.is_up)
            and self._other(exchange) != NONE
        )

    def retry(self, exchange: Exchange) -> bool:
        """Send a request to a replica that it was not tried on; False where there is none."""
        place, replica = self._other(exchange), exchange.replica
        if place == NONE:
            return False
        assert replica is not None
        exchange.tried = (*exchange.tried, replica)
        self._release(exchange)
        exchange.counters.retried += 1
        if replica.is_up:
            self.retries_left -= 1.0
        self.counters.retries += 1
        self._send(exchange, place)
        return True

    def _other(self, exchange: Exchange) -> int:
        """A replica that a request was not tried on; NONE of none."""
        tried = [each.place for each in (*exchange.tried, exchange.replica) if each is not None]
        return self.serving.router.choose_other(exchange.row, tried, exchange.least_tokens)

    def stale(self) -> None:
        """A kept connection turned out to be closed."""
        self.counters.stale_connections += 1

    def failed(self, replica: Replica, failure: Failure) -> None:
        """A replica failed on a request."""
        self.health.failed(replica, failure)

    def not_ready(self, replica: Replica) -> None:
        """A replica answered 503, and another one is asked."""
        self.health.answered(replica, 503)

    def finished(self, exchange: Exchange) -> None:
        """The answer is complete: count it, learn from it, and have the next one take its place."""
        replica, model = exchange.replica, exchange.model
        assert replica is not None
        if exchange.status < 500:
            if replica.failures or replica.num_ejections:
                self.health.succeeded(replica)
            if exchange.answer_tokens and exchange.status == 200:
                per_answer = max(exchange.answer_tokens // exchange.sequences, 1)
                model.answers.add(exchange.prompt_tokens, per_answer, exchange.key)
                exchange.counters.answered(
                    prompt_tokens=exchange.prompt_tokens, answer_tokens=per_answer, streamed_s=exchange.streamed_s
                )
        else:
            self.health.answered(replica, exchange.status)
        self._over(exchange)

    def ended_early(self, exchange: Exchange, *, is_cancelled: bool) -> None:
        """The client went, or the replica failed for good."""
        if exchange.replica is None:
            exchange.model.line.remove(exchange)
            self._unserved(exchange)
            return
        if is_cancelled:
            exchange.counters.cancelled += 1
        self._over(exchange)

    def refused(self, exchange: Exchange) -> None:
        """An error of ours was the answer."""
        self._unserved(exchange)

    def learn_prompt(self, exchange: Exchange, tokens: int) -> None:
        """The engine counted the tokens of a prompt."""
        facts, model = exchange.facts, exchange.model
        if facts.prompt_bytes and exchange.sequences == 1:
            model.prompts.learn(facts.prompt_bytes, tokens)

    def _over(self, exchange: Exchange) -> None:
        prompt_tokens = exchange.prompt_tokens * exchange.facts.prompts
        exchange.counters.ended(
            exchange.status, prompt_tokens=prompt_tokens, answer_tokens=exchange.answer_tokens,
            e2e_s=monotonic() - exchange.arrived_s, queued_s=exchange.sent_s - exchange.arrived_s,
        )  # fmt: skip
        self._release(exchange)
        self._forget(exchange, prompt_tokens + exchange.answer_tokens)
        for tell in self.ended:
            tell(exchange)

    def _unserved(self, exchange: Exchange) -> None:
        """A request is over that no replica got."""
        workload = self.serving.row_names[exchange.row][1] if exchange.row != NONE else ""
        self.counters.turned_away(exchange.reason, exchange.model.model, workload)
        self._forget(exchange, 0)
        for tell in self.ended:
            tell(exchange)

    def _forget(self, exchange: Exchange, used_tokens: int) -> None:
        """A request is over: give its key back what it did not use."""
        self.exchanges.discard(exchange)
        account, exchange.account = exchange.account, None
        if account is not None:
            account.end(used_tokens - exchange.booked_tokens)

    def turn_away(self, request: Request, status: int, code: str) -> None:
        """Count and tell a request that was refused before it was known what it asks for."""
        self.counters.turned_away(code)
        for tell in self.refused_early:
            tell(request, status, code)

    def _release(self, exchange: Exchange) -> None:
        """Take a request off its replica; whoever waits may have the room."""
        replica = exchange.replica
        assert replica is not None
        replica.held -= 1
        if replica.place == GONE:
            if not replica.held:
                replica.pool.close()
            return
        self.serving.router.release(replica.place, exchange.taken)
        line = exchange.model.line
        while line.length and line.next(self._place):
            pass

    # Replicas that come and go.

    def replica_changed(self, replica: Replica) -> None:
        """A replica went down or came back: its share goes where it hurts least, its requests elsewhere."""
        if replica.place == GONE:
            return
        self.serving.router.set_up(replica.place, replica.is_up)
        self.settle()
        if not replica.is_up:
            for exchange in [each for each in self.exchanges if each.replica is replica and not each.has_begun]:
                if exchange.upstream is not None:
                    exchange.upstream.drop()
                exchange.reply_fails(Failure.DOWN)
        else:
            self.serve_waiting()

    def serve_waiting(self) -> None:
        """Send on everyone for whom there is room now."""
        for model in set(self.serving.models.values()):
            while model.line.length and model.line.next(self._place):
                pass

    def settle(self) -> None:
        """Settle the shares anew for the replicas that are up, beside the event loop; until then they split in turn."""
        self._is_settled = False
        if self._settling is None or self._settling.done():
            self._settling = asyncio.get_running_loop().create_task(self._settle())

    async def _settle(self) -> None:
        while not self._is_settled:
            self._is_settled = True
            serving = self.serving
            shares = await asyncio.to_thread(serving.shares_for, serving.num_up())
            if serving is self.serving and self._is_settled:
                serving.router.shares = shares
                self.serve_waiting()

    # Time.

    def tick(self) -> None:
        """Look at everyone who waits: clients, lines, replicas that say nothing."""
        now_s = monotonic()
        for client in list(self.clients):
            client.overdue(now_s)
        for model in set(self.serving.models.values()):
            for exchange in list(model.line.overdue(now_s)):
                exchange.refuse(503, "queue_timeout", "no replica had room in time", headers=b"retry-after: 5\r\n")
        options = self.options
        for exchange in list(self.exchanges):
            upstream = exchange.upstream
            if upstream is not None and not exchange.client.is_paused:
                limit_s = options.silent_s if exchange.has_begun else options.first_byte_s
                if now_s - upstream.since_s > limit_s:
                    upstream.drop()
                    exchange.reply_fails(Failure.SILENT)
            elif upstream is None and now_s - exchange.sent_s > options.first_byte_s * exchange.num_sent > 0:
                exchange.reply_fails(Failure.SILENT)
        for replica in self.serving.replicas:
            replica.pool.tidy(now_s)
