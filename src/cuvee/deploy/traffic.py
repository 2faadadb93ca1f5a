"""What the gateway has counted, read from its metrics: requests of each group, lately and so far."""

import http.client
import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

TIMEOUT_S = 2.0
EVERY_S = 1.0
SMOOTHING = 0.3
"""Weight of the last second in the rate that is shown [-]."""

REQUESTS = re.compile(r'^cuvee_requests_total\{[^}]*group="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Traffic:
    """What one group got.

    Attributes
        rate_req_per_s    Lately [req/s].
        share             Of all requests so far [-]; None before there were any.
    """

    rate_req_per_s: float
    share: float | None


class TrafficWatch:
    """Asks the gateway's admin port once a second, in a thread.

    Parameters
        host, port    Of the admin port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="traffic")
        self._asked: Future[str] | None = None
        self._asked_s = float("-inf")
        self._counts: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._counted_s: float | None = None

    def at(self, now_s: float) -> dict[str, Traffic]:
        """Traffic by group id, as far as it is known at `now_s`."""
        if self._asked is not None and self._asked.done():
            self._take(counts_of(self._asked.result()), now_s)
            self._asked = None
        if self._asked is None and now_s - self._asked_s >= EVERY_S:
            self._asked, self._asked_s = self._thread.submit(_text, self._host, self._port), now_s
        total = sum(self._counts.values())
        return {
            group: Traffic(self._rates.get(group, 0.0), count / total if total else None)
            for group, count in self._counts.items()
        }

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self, counts: dict[str, float], now_s: float) -> None:
        if not counts:
            return
        if self._counted_s is not None and now_s > self._counted_s:
            for group, count in counts.items():
                more = max(count - self._counts.get(group, 0.0), 0.0)  # a gateway that began anew counts from 0
                rate = more / (now_s - self._counted_s)
                before = self._rates.get(group, rate)
                self._rates[group] = before + SMOOTHING * (rate - before)
        self._counts, self._counted_s = counts, now_s


def counts_of(text: str) -> dict[str, float]:
    """Requests by group in metrics as Prometheus reads them."""
    counts: dict[str, float] = {}
    for group, value in REQUESTS.findall(text):
        counts[group] = counts.get(group, 0.0) + float(value)
    return counts


def _text(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
