"""The text of metrics, from a gateway or from a file that holds what it said."""

import http.client
from urllib.parse import urlsplit

from cuvee.control.observed import EXPECTED, Observed, read_observed
from cuvee.errors import InputError
from cuvee.files import BYTES_PER_MB, read_text

TIMEOUT_S = 10.0
MOST_MB = 50.0


def observe(source: str) -> Observed:
    """What a gateway has counted.

    Parameters
        source    http(s) address of its metrics, with or without /metrics; or a file that holds them.
    Raises        InputError: nothing can be had from there, or no metrics of a gateway.
    """
    is_address = source.startswith(("http://", "https://"))
    text = _fetched(source) if is_address else read_text(source, max_mb=MOST_MB)
    return read_observed(text, source)


def _fetched(url: str) -> str:
    """Text at an address; redirections are not followed."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", parts.path if parts.path not in {"", "/"} else "/metrics")
            with connection.getresponse() as reply:
                body = reply.read(int(MOST_MB * BYTES_PER_MB) + 1)
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(
            f"{url}: {error}", expected=EXPECTED, remedy="check that the gateway runs, and its --admin-port"
        ) from None
    if reply.status != http.client.OK or len(body) > MOST_MB * BYTES_PER_MB:
        told = f"status {reply.status}" if reply.status != http.client.OK else f"more than {MOST_MB:g} MB"
        raise InputError(f"{url}: {told}", expected=EXPECTED, remedy="name the admin port's /metrics")
    return body.decode("utf-8", "replace")
