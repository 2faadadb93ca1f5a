"""Replies that the gateway makes itself: errors in the shape of OpenAI's API, and small JSON documents."""

from http import HTTPStatus

import orjson

REASON = {status.value: status.phrase.encode() for status in HTTPStatus}

KIND = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
        405: "invalid_request_error", 408: "timeout_error", 411: "invalid_request_error", 413: "invalid_request_error",
        415: "invalid_request_error", 417: "invalid_request_error", 429: "rate_limit_error",
        431: "invalid_request_error", 501: "invalid_request_error", 505: "invalid_request_error"}  # fmt: skip
"""`type` of an error by its status; of others "server_error"."""


def error_body(status: int, code: str, message: str, param: str | None = None) -> bytes:
    """An error as OpenAI's API words it."""
    kind = KIND.get(status, "server_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def reply(
    status: int, body: bytes, *, content_type: bytes = b"application/json", headers: bytes = b"", closes: bool = False
) -> bytes:
    """A whole reply.

    Parameters
        headers    Further header lines, each with its end.
        closes     Whether the connection ends with it.
    """
    last = b"connection: close\r\n\r\n" if closes else b"\r\n"
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b%b" % (
        status, REASON[status], content_type, len(body), headers, last, body,
    )  # fmt: skip


def error_event(message: str) -> bytes:
    """An error within a stream, as one chunk of a chunked reply."""
    event = b"data: " + error_body(502, "upstream_error", message) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)
