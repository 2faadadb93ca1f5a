"""Headers of a request that are the gateway's own or the connection's: what each of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.serve.request import Request


class Reading(Protocol):
    """A connection that reads a request.

    Attributes
        saw_host, saw_coding    Whether there was a Host header, and a transfer coding.
        length                  What the head says of the body [bytes].
    """

    saw_host: bool
    saw_coding: bool
    length: int

    @property
    def most_body_bytes(self) -> int:
        """Largest body [bytes]."""

    def refuse(self, status: int, code: str, message: str) -> None:
        """Refuse the request; does not return."""

    def invite_body(self) -> None:
        """Tell a client that waits for it to send the body."""


def _host(connection: Reading, request: Request, value: bytes) -> None:
    if connection.saw_host:
        connection.refuse(400, "bad_request", "two Host headers")
    connection.saw_host = True
    request.host = value


def _length(connection: Reading, _request: Request, value: bytes) -> None:
    limit = connection.most_body_bytes
    connection.length = int(value)  # the parser lets digits pass only
    if connection.length > limit:
        connection.refuse(413, "body_too_large", f"the body is larger than {limit:,} bytes")


def _coding(connection: Reading, _request: Request, value: bytes) -> None:
    connection.saw_coding = True
    if value.lower() != b"chunked":
        connection.refuse(501, "transfer_coding", "no transfer coding but chunked is known here")


def _encoding(connection: Reading, _request: Request, value: bytes) -> None:
    if value.lower() != b"identity":
        connection.refuse(415, "content_encoding", "bodies have to be sent as they are, not compressed")


def _expect(connection: Reading, _request: Request, value: bytes) -> None:
    if value.lower() != b"100-continue":
        connection.refuse(417, "expectation", "no expectation but 100-continue is known here")
    connection.invite_body()


def _connection(_connection: Reading, request: Request, value: bytes) -> None:
    """Note the headers that the client names as this connection's own: they are not passed on."""
    request.named += tuple(token.strip().lower() for token in value.split(b","))


def _authorization(_connection: Reading, request: Request, value: bytes) -> None:
    request.authorization = value


def _slo_ttft(_connection: Reading, request: Request, value: bytes) -> None:
    request.slo_ttft = value


def _slo_tpot(_connection: Reading, request: Request, value: bytes) -> None:
    request.slo_tpot = value


def _nothing(_connection: Reading, _request: Request, _value: bytes) -> None:
    """Not passed on, and of no use here."""


SPECIAL: dict[bytes, Callable[[Reading, Request, bytes], None]] = {
    b"host": _host, b"content-length": _length, b"transfer-encoding": _coding, b"content-encoding": _encoding,
    b"expect": _expect, b"connection": _connection, b"authorization": _authorization, b"x-slo-ttft-ms": _slo_ttft,
    b"x-slo-tpot-ms": _slo_tpot, b"keep-alive": _nothing, b"proxy-connection": _nothing,
    b"proxy-authorization": _nothing, b"te": _nothing, b"trailer": _nothing, b"upgrade": _nothing,
    b"http2-settings": _nothing,
}  # fmt: skip
"""Headers that are ours or this connection's; all others are passed on."""
