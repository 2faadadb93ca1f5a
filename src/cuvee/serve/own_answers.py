"""Requests that need no replica: models, health, and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import orjson

from cuvee.serve.endpoints import GET_PATHS, POST_PATHS
from cuvee.serve.replies import error_body, reply

if TYPE_CHECKING:
    from cuvee.serve.http_in import ClientConnection
    from cuvee.serve.request import Request
    from cuvee.serve.serving import Serving

MODELS = b"/v1/models"
READING = (b"GET", b"HEAD")


def answer_itself(serving: Serving, client: ClientConnection, request: Request) -> None:
    """Answer a request that is not passed on."""
    path, is_read = request.path, request.method in READING
    if is_read and path == MODELS:
        _answer(client, request, 200, {"object": "list", "data": [_model(name) for name in serving.models]})
    elif is_read and path.startswith(MODELS + b"/"):
        name = unquote_to_bytes(path[len(MODELS) + 1 :]).decode("utf-8", "replace")
        if name in serving.models:
            _answer(client, request, 200, _model(name))
        else:
            refuse(client, request, 404, "model_not_found", "the model is not served here", "model")
    elif is_read and path == b"/health":
        is_served = all(map(serving.router.is_served, range(len(serving.row_names))))
        _answer(client, request, 200 if is_served else 503, {"status": "ok" if is_served else "degraded"})
    elif path in POST_PATHS or path in GET_PATHS or path.startswith(MODELS + b"/"):
        allow = b"allow: %b\r\n" % (b"POST" if path in POST_PATHS else b"GET, HEAD")
        method = request.method.decode("latin-1")
        refuse(client, request, 405, "method_not_allowed", f"{method} is not allowed here", headers=allow)
    else:
        refuse(client, request, 404, "not_found", "no such path")


def refuse(
    client: ClientConnection,
    request: Request,
    status: int,
    code: str,
    message: str,
    param: str | None = None,
    *,
    headers: bytes = b"",
) -> None:
    """Answer a request with an error, and have it counted."""
    client.handler.turn_away(request, status, code)
    body = error_body(status, code, message, param)
    _send(client, request, reply(status, body, headers=headers, closes=request.is_close))


def refuse_unknown(client: ClientConnection, request: Request) -> None:
    """Refuse a request without a key that is known."""
    told = "no API key that is known here: send Authorization: Bearer KEY"
    refuse(client, request, 401, "invalid_api_key", told, headers=b"www-authenticate: Bearer\r\n")


def _answer(client: ClientConnection, request: Request, status: int, record: dict[str, object]) -> None:
    _send(client, request, reply(status, orjson.dumps(record), closes=request.is_close))


def _send(client: ClientConnection, request: Request, answer: bytes) -> None:
    """Send a whole reply; to HEAD its head alone, after which the next reply is read."""
    client.send(answer if request.method != b"HEAD" else answer[: answer.index(b"\r\n\r\n") + 4])
    client.done(request.is_close)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "cuvee"}
