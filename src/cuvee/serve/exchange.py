"""One request from its admission to the last byte of its answer: who answers it, and what if that fails."""

from __future__ import annotations

import math
import re
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from cuvee.serve.counters import GroupCounters
from cuvee.serve.replies import error_body, error_event, reply
from cuvee.serve.upstream import Failure, Pool, UpstreamConnection

if TYPE_CHECKING:
    from cuvee.serve.facts import Facts
    from cuvee.serve.http_in import ClientConnection
    from cuvee.serve.keys import Account
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.replica import Replica
    from cuvee.serve.request import Request
    from cuvee.serve.serving import ServedState

TAIL_BYTES = 4096
"""How much of the end of an answer is searched for its usage [bytes]."""

USAGE = re.compile(rb'"(prompt|completion|input|output)_tokens"\s*:\s*(\d{1,9})\b')

EVENT_END = b"\n\n\r\n"
"""How a chunk that holds whole events ends."""


NOBODY = GroupCounters()
"""What a request counts for before it has a replica; never shown."""


class Owner(Protocol):
    """What an exchange asks of the gateway."""

    options: ServeOptions

    def may_retry(self, exchange: Exchange) -> bool:
        """Whether a request may go to another replica, and there is one."""

    def retry(self, exchange: Exchange) -> bool:
        """Send it to one; False where there is none."""

    def stale(self) -> None:
        """A kept connection turned out to be closed."""

    def failed(self, replica: Replica, failure: Failure) -> None:
        """A replica failed on a request."""

    def not_ready(self, replica: Replica) -> None:
        """A replica answered 503, and another one is asked."""

    def finished(self, exchange: Exchange) -> None:
        """The answer is complete."""

    def ended_early(self, exchange: Exchange, *, is_cancelled: bool) -> None:
        """The client went, or the replica failed for good."""

    def refused(self, exchange: Exchange) -> None:
        """An error of the gateway's own was the answer."""

    def learn_prompt(self, exchange: Exchange, tokens: int) -> None:
        """The engine counted the tokens of a prompt."""


class Exchange:
    """A request and its answer.

    Attributes
        row               Row of the plan that it is taken for.
        prompt_tokens     Of its prompt, exact or estimated; of several prompts their mean [tokens].
        least_tokens      Those, and of the shortest answer that the client insists on [tokens].
        replica           Which serves it; None while it waits.
        taken             Share of that replica that it takes [-].
        tried             Replicas that failed on it.
        num_sent          Times that it was sent [-].
        status            Of the reply, once it began; 0 before.
        reason            Why it was not answered well, as a code of ours; "" of a good answer.
        num_events        Pieces of a streamed answer, about one a token [-].
        arrived_s ... last_s    When it arrived, was sent on, had its first and its last piece [s]; 0 before.
    """

    # What most requests never change is read from the class.
    endpoint = workload = reason = key = ""
    account: Account | None = None
    replica: Replica | None = None
    upstream: UpstreamConnection | None = None
    counters = NOBODY
    row = prompt_tokens = least_tokens = expected_tokens = answer_tokens = booked_tokens = status = num_events = (
        num_sent
    ) = 0
    prefix = -1
    taken = deadline_s = sent_s = first_s = last_s = 0.0
    tail = b""
    is_urgent = has_begun = is_over = False
    ttft_limit_s = tpot_limit_s = math.inf
    tried: tuple[Replica, ...] = ()

    def __init__(
        self, gateway: Owner, client: ClientConnection, request: Request, facts: Facts, model: ServedState
    ) -> None:
        self.gateway = gateway
        self.client = client
        self.request = request
        self.facts = facts
        self.model = model
        self.sequences = facts.sequences
        self.closes = request.is_close
        self.arrived_s = monotonic()

    @property
    def streamed_s(self) -> float:
        """From the first to the last piece of a streamed answer [s]; 0 of one that is not streamed."""
        return self.last_s - self.first_s if self.facts.is_stream else 0.0

    def send(self, replica: Replica, *, fresh: bool = False) -> None:
        """Have `replica`, on which it is booked, answer."""
        self.replica = replica
        self.num_sent += 1
        if not self.sent_s:
            self.sent_s = monotonic()
        request = self.request
        message = b"%b %b%b HTTP/1.%d\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
            request.method, replica.root, request.path + (b"?" + request.query if request.query else b""),
            0 if request.is_old else 1, replica.head_of(request), b"".join(request.head), len(request.body),
            request.body,
        )  # fmt: skip
        self.upstream = replica.pool.ask(self, message, fresh=fresh)

    # What the side of the replicas calls.

    def connected(self, connection: UpstreamConnection) -> bool:
        """A connection stands; False where the request is no longer to be sent over it."""
        if not self._waits_for(connection.pool):
            return False
        self.upstream = connection
        return True

    def not_connected(self, pool: Pool) -> None:
        """No connection came about; by now the request may be elsewhere."""
        if self._waits_for(pool):
            self.reply_fails(Failure.UNREACHABLE)

    def _waits_for(self, pool: Pool) -> bool:
        return not self.is_over and self.upstream is None and self.replica is not None and pool is self.replica.pool

    def reply_begins(self, status: int, head: bytes, body: bytes, *, ends_with_connection: bool) -> None:
        """Pass the head on, the replica's group in it; a replica that is not ready gets no say while others are."""
        replica = self.replica
        assert replica is not None
        if status == 503 and self.gateway.may_retry(self):
            if self.upstream is not None:
                self.upstream.drop()
            self._try_elsewhere(Failure.DOWN)
            self.gateway.not_ready(replica)
            return
        self.status = status
        self.has_begun = True
        self.request.body = b""  # it goes to nobody else any more
        if ends_with_connection:
            self.closes = True
        self.client.send(head + replica.reply_head + (b"connection: close\r\n\r\n" if self.closes else b"\r\n") + body)
        if body:
            self._note(body)
        if self.client.is_paused:
            self.pause()

    def reply_goes_on(self, data: bytes) -> None:
        """Pass more of the body on."""
        self.client.send(data)
        self._note(data)

    def reply_ends(self, *, closes: bool) -> None:
        """The answer is complete."""
        if self.client.is_paused:
            self.resume()  # the connection is kept, for others
        self.upstream = None
        self._read_usage()
        self.gateway.finished(self)
        self.is_over = True
        self.client.done(self.closes or closes)

    def reply_fails(self, failure: Failure) -> None:
        """Try again where the client has had nothing; else tell it what can be told."""
        if self.is_over:
            return
        self.upstream = None
        replica = self.replica
        assert replica is not None
        may_repeat = self.num_sent == 1 or self.num_sent < self.gateway.options.attempts
        if failure is Failure.STALE and not self.has_begun and may_repeat:
            self.gateway.stale()
            self.send(replica, fresh=True)
            return
        if not self.has_begun and self.gateway.may_retry(self):
            self._try_elsewhere(failure)
        else:
            self.give_up(failure)
        if failure is not Failure.DOWN:
            self.gateway.failed(replica, failure)

    def _try_elsewhere(self, failure: Failure) -> None:
        self.upstream = None
        if not self.gateway.retry(self):
            self.give_up(failure)

    def give_up(self, failure: Failure) -> None:
        """End it with an error: a reply where none began, an event in a stream, a cut where neither can be."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.drop()
        client = self.client
        self.reason = f"replica_{failure.name.lower()}"
        if not self.has_begun:
            self.status = 504 if failure is Failure.SILENT else 502
            body = error_body(self.status, "upstream_error", f"the replica failed: {failure.value}")
            client.send(reply(self.status, body, closes=self.closes))
            self._end()
            client.done(self.closes)
            return
        if self.status < 500:
            self.counters.broken += 1
        if self.facts.is_stream and self.tail.endswith(EVENT_END):
            client.send(error_event(f"the replica failed: {failure.value}"))
        self._end()
        client.abort()

    # What the side of the clients calls.

    def client_gone(self) -> None:
        """Cancel: the engine learns of it from the end of its connection."""
        if self.is_over:
            return
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.drop()
        self.status = self.status or 499
        self.reason = "client_gone"
        self._end(is_cancelled=True)

    def pause(self) -> None:
        """The client takes no more for now: neither do we."""
        if self.upstream is not None and not self.upstream.transport.is_closing():
            self.upstream.transport.pause_reading()

    def resume(self) -> None:
        """Go on."""
        if self.upstream is not None and not self.upstream.transport.is_closing():
            self.upstream.transport.resume_reading()

    # The rest.

    def refuse(self, status: int, code: str, message: str, *, headers: bytes = b"", param: str | None = None) -> None:
        """Answer with an error before any replica was asked."""
        self.status = status
        self.reason = code
        self.is_over = True
        self.client.send(reply(status, error_body(status, code, message, param), headers=headers, closes=self.closes))
        self.gateway.refused(self)
        self.client.done(self.closes)

    def _note(self, data: bytes) -> None:
        """Keep time and the end of the answer, for its usage."""
        now_s = monotonic()
        if self.facts.is_stream:
            self.num_events += data.count(b"data: {")
        if not self.first_s:
            self.first_s = now_s
            if self.facts.is_stream:
                self.counters.ttft.add(now_s - self.arrived_s)
        elif self.facts.is_stream:
            self.counters.itl.add(now_s - self.last_s)
        self.last_s = now_s
        tail = self.tail
        self.tail = data if len(data) >= TAIL_BYTES or not tail else (tail + data)[-TAIL_BYTES:]

    def _read_usage(self) -> None:
        """Lengths as the engine counted them, from the end of the answer; of a stream that says nothing, its pieces.

        In the text of an answer the quotes would be escaped, so that nobody can write a usage into it.
        """
        tail = self.tail
        self.tail = b""
        start = tail.rfind(b'"usage":')
        counted = False
        if start >= 0:
            for name, digits in USAGE.findall(tail, start):
                if name in (b"completion", b"output"):
                    self.answer_tokens, counted = int(digits), True
                elif int(digits) > 0:
                    self.gateway.learn_prompt(self, int(digits))
                    self.prompt_tokens = max(round(int(digits) / self.facts.prompts), 1)
        if not counted:
            self.answer_tokens = self.num_events

    def _end(self, *, is_cancelled: bool = False) -> None:
        self.is_over = True
        self._read_usage()
        self.gateway.ended_early(self, is_cancelled=is_cancelled)
