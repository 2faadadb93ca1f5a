"""Files that grow with every request: the access log, and a trace of lengths and times. No text of any prompt.

Each write opens its file anew, so that whoever rotates them renames them and tells nobody.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from cuvee.errors import InputError
from cuvee.serve.endpoints import POST_PATHS

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.serve.exchange import Exchange
    from cuvee.serve.request import Request

MOST_TEXTS = 4096
"""Names whose JSON is remembered [-]."""

MOST_HELD = 100_000
"""Lines that wait to be written; where a disk takes no more, the newest are lost [-]."""

TRACE_HEADER = "arrival_s,input_tokens,output_tokens,model\n"
"""Columns of the trace, as `cuvee workload` reads them."""


class Journal:
    """A file that gets a line for each request, written now and then beside the event loop.

    Parameters
        line      Text of one request's line, without its end; None of one that gets none.
        header    First line of a new file.
        early     As `line`, of a request refused before it was known what it asks for; None: they get none.
    Raises        InputError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        line: Callable[[Exchange], bytes | None],
        header: str = "",
        early: Callable[[Request, int, str], bytes] | None = None,
    ) -> None:
        self.path = path
        self.line = line
        self.early = early
        self.header = header.encode()
        self.held: list[bytes] = []
        self.num_lost = 0
        self._turn = asyncio.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append(b"")
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror})",
                expected="a file in a folder that can be written",
                remedy="choose another path",
            ) from None

    def add(self, exchange: Exchange) -> None:
        """Note one request that is over."""
        line = self.line(exchange)
        if line is not None:
            self._hold(line)

    def add_early(self, request: Request, status: int, code: str) -> None:
        """Note one that was refused before it was known what it asks for."""
        if self.early is not None:
            self._hold(self.early(request, status, code))

    def _hold(self, line: bytes) -> None:
        if len(self.held) < MOST_HELD:
            self.held.append(line)
        else:
            self.num_lost += 1

    async def write(self) -> None:
        """Write what is held.

        Raises      OSError: the disk takes nothing; what has room is held for the next time, the newest are lost.
        """
        async with self._turn:
            if self.held:
                lines, self.held = self.held, []
                try:
                    await asyncio.to_thread(self._append, b"\n".join(lines) + b"\n")
                except OSError:
                    lines += self.held
                    self.num_lost += max(len(lines) - MOST_HELD, 0)
                    self.held = lines[:MOST_HELD]
                    raise

    def _append(self, text: bytes) -> None:
        """All of `text`, or none of it: what does not fit is written again."""
        with self.path.open("ab", buffering=0) as stream:
            began = stream.tell()
            left = memoryview(self.header + text if began == 0 else text)
            try:
                while left:
                    left = left[stream.write(left) :]
            except OSError:
                with suppress(OSError):
                    stream.truncate(began)
                raise


ACCESS = (
    b'{"time":%.3f,"endpoint":%b,"model":%b,"workload":%b,"group":%b,"replica":%b,"key":%b,"status":%d,"reason":%b,'
    b'"stream":%b,"prompt_tokens":%d,"expected_tokens":%d,"answer_tokens":%d,"queued_s":%b,"ttft_s":%b,"tpot_s":%b,'
    b'"e2e_s":%.6f,"retries":%d}'
)
"""A line of the access log: to fill it in takes less than to write a dictionary."""


@lru_cache(MOST_TEXTS)
def quoted(text: str) -> bytes:
    """A name as JSON; null of none. Names are those of the plan, the replicas and the keys, and so few."""
    return orjson.dumps(text or None)


def seconds(value_s: float, *, is_known: object) -> bytes:
    """A time as JSON [s]; null where it is not known."""
    return b"%.6f" % value_s if is_known else b"null"


def access_line(exchange: Exchange) -> bytes:
    """A request as one JSON object: who, what, where, how long; no text, no key."""
    replica = exchange.replica
    arrived_s, first_s, sent_s = exchange.arrived_s, exchange.first_s, exchange.sent_s
    e2e_s = time.monotonic() - arrived_s
    per_answer = exchange.answer_tokens // exchange.sequences
    tpot_s = exchange.streamed_s / (per_answer - 1) if per_answer > 1 else 0.0
    return ACCESS % (
        time.time() - e2e_s, quoted(exchange.endpoint), quoted(exchange.model.model), quoted(exchange.workload),
        quoted(replica.group if replica is not None else ""), quoted(replica.name if replica is not None else ""),
        quoted(exchange.key), exchange.status, quoted(exchange.reason),
        b"true" if exchange.facts.is_stream else b"false", exchange.prompt_tokens, exchange.expected_tokens,
        exchange.answer_tokens, seconds(sent_s - arrived_s, is_known=sent_s),
        seconds(first_s - arrived_s, is_known=first_s), seconds(tpot_s, is_known=tpot_s), e2e_s, len(exchange.tried),
    )  # fmt: skip


def early_line(request: Request, status: int, code: str) -> bytes:
    """A request that was refused before it was known what it asks for; of its path only what is known here."""
    endpoint = POST_PATHS.get(request.path)
    name = endpoint.name if endpoint is not None else None
    return orjson.dumps({"time": round(time.time(), 3), "endpoint": name, "status": status, "reason": code})


def trace_line(exchange: Exchange) -> bytes | None:
    """A request that was answered in full, as a line of a trace; None of others. Means of several."""
    if exchange.status != 200 or exchange.reason or not exchange.answer_tokens:
        return None
    arrived_s = time.time() - (time.monotonic() - exchange.arrived_s)
    model = exchange.model.model.replace('"', "")
    per_answer = max(exchange.answer_tokens // exchange.sequences, 1)
    return b'%.6f,%d,%d,"%b"' % (arrived_s, exchange.prompt_tokens, per_answer, model.encode())
