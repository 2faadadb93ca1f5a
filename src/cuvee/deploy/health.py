"""Whether programs answer, asked in threads: one that hangs holds up nobody."""

import http.client
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

TIMEOUT_S = 2.0
MOST_THREADS = 32


def status_of(url: str) -> int:
    """Status of the answer to a GET of `url`; 0 where there is none within `TIMEOUT_S`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class Probes:
    """At most one question under way to each address."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="probe")
        self._asked: dict[str, Future[int]] = {}

    def ask(self, urls: Iterable[str]) -> None:
        """Ask those to which no question is under way."""
        for url in urls:
            if url not in self._asked:
                self._asked[url] = self._threads.submit(status_of, url)

    def heard(self) -> dict[str, int]:
        """Statuses that have been answered since the last call, 0 where there was no answer."""
        done = {url: future.result() for url, future in self._asked.items() if future.done()}
        for url in done:
            del self._asked[url]
        return done

    def close(self) -> None:
        """Ask no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
