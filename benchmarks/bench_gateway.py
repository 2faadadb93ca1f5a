"""What a gateway costs: processor time per request and added latency, ours beside others, on loopback.

Engines that answer at once and the load generator share one core, the gateway has another. Ours runs with all on:
API keys, the plan's shares, prefix affinity, access log, trace, metrics. nginx and haproxy (apt: nginx-light haproxy
wrk) forward by weights; vllm-router and sglang-router are those of `make routers`, or of the environments of --venvs.
What is not installed is left out.

Run: python benchmarks/bench_gateway.py [--seconds 3] [--venvs FOLDER ...]. Writes benchmarks/results/gateway.json.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cuvee
from cuvee.plan.outcome.files import plan_to_json
from harness import describe_machine, write_results

HERE = Path(__file__).parent
BACKENDS = (9101, 9102)
PORT = 9180
ROUTERS = [HERE.parent / f".venv-{name}" for name in ("vllm-router", "sglang-router")]
"""Where `make routers` puts them."""

CONNECTIONS = 32
LOW_RATE = (4, 100)
"""Connections, and requests of each, of the measurement at a low rate [-]."""

PROMPT = "the quick brown fox jumps over the lazy dog " * 2
RECORD = {"model": "tiny", "prompt": PROMPT, "max_tokens": 16, "temperature": 0}


def bodies() -> dict[str, str]:
    """Request bodies by kind."""
    plain = json.dumps(RECORD, separators=(",", ":"))
    return {"json": plain, "sse": plain[:-1] + ',"stream":true}'}


def plan_of_two_groups() -> cuvee.Plan:
    """A plan whose two groups share every type 7 to 3."""
    kinds = (cuvee.WorkloadType("brief", 1000, 50), cuvee.WorkloadType("wordy", 300, 400))
    problem = cuvee.PlanProblem(
        (cuvee.ModelDemand(cuvee.load_model("llama-3-8b"), cuvee.Demand(kinds, (60.0, 40.0))),),
        cuvee.load_offers("paper-avail-1"),
        cuvee.Limits(1.7, max_gpus={"RTX4090": 1}),
    )
    found = cuvee.plan(problem)
    groups = tuple(replace(group, copies=1) for group in found.groups[:2])
    shares = {groups[0].id: 0.7, groups[1].id: 0.3}
    rows = tuple(replace(row, shares=dict(shares)) for row in found.assignment)
    return replace(found, groups=groups, assignment=rows)


def ours(folder: Path) -> tuple[list[str], str]:
    """Command of our gateway with everything on, and the key to send."""
    plan = plan_of_two_groups()
    (folder / "plan.json").write_text(plan_to_json(plan))
    lines = "".join(
        f"  - {{url: 'http://127.0.0.1:{port}', group: {group.id}, max_concurrency: 256}}\n"
        for port, group in zip(BACKENDS, plan.groups, strict=True)
    )
    models = "models: {llama-3-8b: {names: [tiny]}}\n"
    (folder / "replicas.yaml").write_text(f"version: 1\nreplicas:\n{lines}{models}")
    command = [sys.executable, "-m", "cuvee.cli.main"]
    made = subprocess.run(
        [*command, "api-key", "bench", "--file", str(folder / "keys.yaml")], check=True, capture_output=True, text=True
    )
    return [
        *command, "serve", str(folder / "plan.json"), "--replicas", str(folder / "replicas.yaml"),
        "--port", str(PORT), "--admin-port", "0", "--keys", str(folder / "keys.yaml"),
        "--access-log", str(folder / "access.log"), "--trace", str(folder / "trace.csv"),
    ], made.stdout.strip()  # fmt: skip


def nginx(folder: Path) -> list[str]:
    """Command of nginx with one worker."""
    paths = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    servers = "".join(
        f"server 127.0.0.1:{port} weight={weight}; " for port, weight in zip(BACKENDS, (7, 3), strict=True)
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err warn;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {paths} keepalive_requests 1000000;\n"
        f"upstream engines {{ {servers} keepalive 256; keepalive_requests 1000000; }}\n"
        f"server {{ listen 127.0.0.1:{PORT}; location / {{ proxy_pass http://engines; proxy_http_version 1.1; "
        'proxy_set_header Connection ""; proxy_buffering off; } } }\n'
    )
    return ["nginx", "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path) -> list[str]:
    """Command of haproxy with one thread."""
    servers = "".join(
        f"  server s{port} 127.0.0.1:{port} weight {weight}\n" for port, weight in zip(BACKENDS, (7, 3), strict=True)
    )
    (folder / "haproxy.cfg").write_text(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n"
        "  timeout connect 5s\n  option http-keep-alive\n  option http-no-delay\n"
        f"frontend front\n  bind 127.0.0.1:{PORT}\n  default_backend engines\n"
        f"backend engines\n  balance roundrobin\n  http-reuse always\n{servers}"
    )
    return ["haproxy", "-f", str(folder / "haproxy.cfg")]


def rust_router(program: str) -> list[str]:
    """Command of vllm-router or sglang-router."""
    urls = [f"http://127.0.0.1:{port}" for port in BACKENDS]
    name = Path(program).name
    start = [program] if name == "vllm-router" else [program, "-m", "sglang_router.launch_router"]
    return [
        *start, "--host", "127.0.0.1", "--port", str(PORT), "--worker-urls", *urls, "--policy", "random",
        "--prometheus-port", "29481", "--prometheus-host", "127.0.0.1", "--log-level", "error",
    ]  # fmt: skip


def found_routers(venvs: list[Path]) -> dict[str, list[str]]:
    """Commands of the Rust routers that are installed."""
    found = {}
    for folder in [*venvs, Path(sys.prefix)]:
        if (folder / "bin" / "vllm-router").is_file():
            found["vllm-router"] = rust_router(str(folder / "bin" / "vllm-router"))
        if list(folder.glob("lib/python*/site-packages/sglang_router")):
            found["sglang-router"] = rust_router(str(folder / "bin" / "python"))
    return found


def on_core(core: int, command: list[str]) -> list[str]:
    """A command pinned to one core, where there are two."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else command


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    for child in children.read_text().split() if children.is_file() else ():
        found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Processor time of a process and its children [s]."""
    ticks = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: list[str], core: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process while the body runs."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        on_core(core, command), stdout=quiet, stderr=quiet, env={**os.environ, "RUST_LOG": "error"}
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def ask(port: int, key: str, record: str, number: int) -> list[tuple[float, float, bytes]]:
    """Time to the first event and to the end [s] of requests one after the other, with the head of each reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = record.encode()
    text = (
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %b\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
    )
    found = []
    for _ in range(number):
        began = time.perf_counter()
        writer.write(text)
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head.lower():
            await reader.readuntil(b"data: ")
            first = time.perf_counter()
            await reader.readuntil(b"0\r\n\r\n")
        else:
            length = int(re.findall(rb"(?i)content-length: *(\d+)", head)[0])
            await reader.readexactly(length)
            first = time.perf_counter()
        found.append((first - began, time.perf_counter() - began, head))
        await asyncio.sleep(0.01)
    writer.close()
    return found


async def wait_until_up(port: int, key: str) -> None:
    """Wait for the first good answer."""
    for _ in range(300):
        try:
            if (await ask(port, key, bodies()["json"], 1))[0][2].startswith(b"HTTP/1.1 200"):
                return
        except (OSError, asyncio.IncompleteReadError, IndexError):
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def low_rate(port: int, key: str, kind: str) -> dict[str, float]:
    """Median time to the first event and to the end at a low rate [ms]."""

    async def play() -> list[tuple[float, float, bytes]]:
        connections, number = LOW_RATE
        answers = await asyncio.gather(*[ask(port, key, bodies()[kind], number) for _ in range(connections)])
        return [each for some in answers for each in some]

    found = asyncio.run(play())
    firsts, ends = sorted(each[0] for each in found), sorted(each[1] for each in found)
    return {"first_p50_ms": 1e3 * firsts[len(firsts) // 2], "end_p50_ms": 1e3 * ends[len(ends) // 2]}


def full_rate(port: int, key: str, kind: str, seconds: float, pid: int, folder: Path) -> dict[str, float]:
    """Requests a second with 32 connections, and processor time of each [us]."""
    script = folder / f"{kind}.lua"
    script.write_text(
        'wrk.method="POST"; wrk.headers["Content-Type"]="application/json"\n'
        f'wrk.headers["Authorization"]="Bearer {key}"\nwrk.body=[[{bodies()[kind]}]]\n'
    )
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        "--latency",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}/v1/completions",
    ]

    def run(duration: str) -> str:
        return subprocess.run(
            on_core(1, [*command, f"-d{duration}s"]), check=True, capture_output=True, text=True
        ).stdout

    run("1")
    before = cpu_s(pid)
    said = run(f"{seconds:g}")
    spent = cpu_s(pid) - before
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    number = int(re.findall(r"(\d+) requests in", said)[0])
    return {
        "req_per_s": float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0]),
        "cpu_us_per_request": 1e6 * spent / max(number, 1),
        "errors": int(bad[1]) if bad else 0,
    }


def measured(name: str, command: list[str] | None, key: str, seconds: float, folder: Path) -> dict[str, Any]:
    """One way to the engines."""
    port = PORT if command is not None else BACKENDS[0]
    row: dict[str, Any] = {"name": name}
    with running(command or ["sleep", "600"], 0) as process:
        asyncio.run(wait_until_up(port, key))
        for kind in bodies():
            row[kind] = {**full_rate(port, key, kind, seconds, process.pid, folder), **low_rate(port, key, kind)}
        if name == "cuvee serve":
            answers = asyncio.run(ask(port, key, bodies()["json"], 500))
            row["share_of_70"] = sum(b"x-cuvee-group: g1" in head for _, _, head in answers) / len(answers)
    row["json"]["cpu_us_per_request"] *= command is not None
    row["sse"]["cpu_us_per_request"] *= command is not None
    return row


def main() -> None:
    """Measure all that is installed, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--venvs", type=Path, nargs="*", default=ROUTERS)
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed (apt: wrk): the gateway is not measured")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serve, key = ours(folder)
        ways: dict[str, list[str] | None] = {"direct": None, "cuvee serve": serve, **found_routers(asked.venvs)}
        ways |= {each.__name__: each(folder) for each in (nginx, haproxy) if shutil.which(each.__name__)}
        engines = [running([sys.executable, str(HERE / "gateway_backend.py"), str(port)], 1) for port in BACKENDS]
        with engines[0], engines[1]:
            rows = []
            for way, command in ways.items():
                rows.append(measured(way, command, key, asked.seconds, folder))
                print(json.dumps(rows[-1]))
    record = {"machine": describe_machine(), "seconds": asked.seconds, "load": os.getloadavg()[0], "rows": rows}
    write_results("gateway", record)


if __name__ == "__main__":
    main()
