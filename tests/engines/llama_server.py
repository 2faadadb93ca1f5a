"""A llama.cpp server of one tiny model: as a command, and as a context that starts it and stops it again.

python -m tests.engines.llama_server model.gguf --port 8001 --parallel 8 --context 1024 --cpus 0
"""

import argparse
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engines.processor_share import take_share

HTTP_THREADS = 256
"""A thread holds a connection for as long as it is open: with fewer, requests wait for one that idles."""

START_SECONDS = 60.0


@dataclass(frozen=True)
class LlamaSettings:
    """How a server runs.

    Attributes
        threads     That compute [-].
        parallel    Most requests at once [-].
        context     Longest request [tokens].
        cpus        Processors it may run on, e.g. (0,); empty: all.
        share       Of one processor that it may use [-]; None: as much as there is.
    """

    threads: int = 1
    parallel: int = 8
    context: int = 1024
    cpus: tuple[int, ...] = ()
    share: float | None = None


def is_installed() -> bool:
    """Whether the engine is there: the dependency group `engines`."""
    return importlib.util.find_spec("xllamacpp") is not None


def command(model: Path, port: int, settings: LlamaSettings) -> list[str]:
    """The command that serves `model` at `port`."""
    pinned = ["--cpus", ",".join(map(str, settings.cpus))] if settings.cpus else []
    pinned += ["--share", str(settings.share)] if settings.share else []
    return [
        sys.executable, "-m", "tests.engines.llama_server", str(model), "--port", str(port),
        "--threads", str(settings.threads), "--parallel", str(settings.parallel),
        "--context", str(settings.context), *pinned,
    ]  # fmt: skip


@contextlib.contextmanager
def running(model: Path, settings: LlamaSettings, log: Path) -> Iterator[str]:
    """The address of a server that runs meanwhile."""
    port = free_port()
    root = Path(__file__).parents[2]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(model, port, settings), cwd=root, stdout=out, stderr=out, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise RuntimeError(f"no engine at {url}: {log.read_text(errors='replace')[-2000:]}")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--cpus", default="")
    parser.add_argument("--share", type=float)
    parser.add_argument("--name", default="tiny")
    given = parser.parse_args()
    if given.cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in given.cpus.split(",")})
    if given.share:
        take_share(given.share)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.model_alias = [given.name]
    params.hostnames, params.port = [given.host], given.port
    params.n_parallel, params.n_ctx = given.parallel, given.context * given.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.threads
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.n_threads_http = HTTP_THREADS
    params.endpoint_metrics = True
    params.kv_unified = True  # prompts and decodes then share steps, as in other engines
    params.cache_ram_mib = 0
    params.fit_params = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"serving at {server.listening_address}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)


if __name__ == "__main__":
    main()
