"""A request as it arrived, and who answers it."""

from __future__ import annotations

from typing import Protocol

COMMON = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings", b""})
"""What a Connection header names that is not passed on in any case."""


class Request:
    """One request, its body in full.

    Attributes
        head        Header lines to pass on.
        is_close    Whether the connection ends with the answer; `is_old` where it is HTTP/1.0, which always does.
        held_bytes  What its body counts for while it waits to be answered [bytes].
        refusal     Why it is not answered: status, code, message; None of a good one.
    """

    # Values of a request that says nothing of them: read from the class, and written to few.
    method = path = query = authorization = host = slo_ttft = slo_tpot = body = b""
    is_close = is_old = False
    held_bytes = 0
    named: tuple[bytes, ...] = ()
    refusal: tuple[int, str, str] | None = None

    def __init__(self) -> None:
        self.head: list[bytes] = []

    def drop_named(self) -> None:
        """Leave out the headers that the client names as its connection's own."""
        if not all(name in COMMON for name in self.named):
            lines = [self.head[at : at + 4] for at in range(0, len(self.head), 4)]
            self.head = [part for line in lines if line[0].lower() not in self.named for part in line]


class Answering(Protocol):
    """What makes the answer to the request of a connection."""

    def client_gone(self) -> None:
        """The client has closed the connection."""

    def pause(self) -> None:
        """The client takes no more for now."""

    def resume(self) -> None:
        """The client takes more again."""
