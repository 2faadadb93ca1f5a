"""Files that grow with every request: the access log, and a trace of lengths and times. No text of any prompt.

Each write opens its file anew, so that whoever rotates them renames them and tells nobody.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from cuvee.errors import InputError
from cuvee.serve.endpoints import POST_PATHS

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.serve.exchange import Exchange
    from cuvee.serve.request import Request

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
        """Write what is held."""
        if self.held:
            lines, self.held = self.held, []
            await asyncio.to_thread(self._append, b"\n".join(lines) + b"\n")

    def _append(self, text: bytes) -> None:
        with self.path.open("ab") as stream:
            stream.write(self.header + text if stream.tell() == 0 else text)


def access_line(exchange: Exchange) -> bytes:
    """A request as one JSON object: who, what, where, how long; no text, no key."""
    replica = exchange.replica
    ended_s = time.monotonic()
    first_s = exchange.first_s - exchange.arrived_s if exchange.first_s else None
    per_answer = exchange.answer_tokens // exchange.sequences
    tpot_s = exchange.streamed_s / (per_answer - 1) if per_answer > 1 and exchange.streamed_s else None
    return orjson.dumps({
        "time": round(time.time() - (ended_s - exchange.arrived_s), 3),
        "endpoint": exchange.endpoint,
        "model": exchange.model.model,
        "workload": exchange.workload,
        "group": replica.group if replica is not None else None,
        "replica": replica.name if replica is not None else None,
        "key": exchange.key or None,
        "status": exchange.status,
        "reason": exchange.reason or None,
        "stream": exchange.facts.is_stream,
        "prompt_tokens": exchange.prompt_tokens,
        "expected_tokens": exchange.expected_tokens,
        "answer_tokens": exchange.answer_tokens,
        "queued_s": round(exchange.sent_s - exchange.arrived_s, 6) if exchange.sent_s else None,
        "ttft_s": round(first_s, 6) if first_s is not None else None,
        "tpot_s": round(tpot_s, 6) if tpot_s is not None else None,
        "e2e_s": round(ended_s - exchange.arrived_s, 6),
        "retries": len(exchange.tried),
    })  # fmt: skip


def early_line(request: Request, status: int, code: str) -> bytes:
    """A request that was refused before it was known what it asks for; of its path only what is known here."""
    endpoint = POST_PATHS.get(request.path)
    name = endpoint.name if endpoint is not None else None
    return orjson.dumps({"time": round(time.time(), 3), "endpoint": name, "status": status, "reason": code})


def trace_line(exchange: Exchange) -> bytes | None:
    """A request that was answered in full, as a line of a trace; None of others."""
    if exchange.status != 200 or exchange.reason or not exchange.answer_tokens:
        return None
    arrived_s = time.time() - (time.monotonic() - exchange.arrived_s)
    model = exchange.model.model.replace('"', "")
    return b'%.6f,%d,%d,"%b"' % (arrived_s, exchange.prompt_tokens, exchange.answer_tokens, model.encode())
