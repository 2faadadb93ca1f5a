"""A gateway in this process, engines of a few lines, and clients that see every byte."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import cuvee
from cuvee.plan.outcome.result import Plan
from cuvee.serve.options import ServeOptions
from cuvee.serve.replicas_file import Deployment, ReplicaAddress, ServedModel
from cuvee.serve.running import new_event_loop
from cuvee.serve.server import Server
from cuvee.serve.serving import serving_of
from tests.serve.engine import Asked, Engine, chunk, completed, completion, ended, streamed, whole

MODEL = "llama-3-8b"

__all__ = ["Asked", "Engine", "chunk", "completed", "completion", "ended", "streamed", "whole"]


@cache
def two_types(model: str = MODEL) -> Plan:
    """A plan of two GPU types at least for brief and wordy answers of an 8B model."""
    kinds = (cuvee.WorkloadType("brief", 1000, 50), cuvee.WorkloadType("wordy", 300, 400))
    demand = cuvee.Demand(kinds, (60.0, 40.0))
    offers = cuvee.load_offers("paper-avail-1")
    limits = cuvee.Limits(1.7, max_gpus={"RTX4090": 1})
    return cuvee.plan(cuvee.PlanProblem((cuvee.ModelDemand(cuvee.load_model(model), demand),), offers, limits))


def with_copies(plan: Plan, copies: int, num_groups: int) -> Plan:
    """The first groups of `plan` with so many copies each, every type split evenly over them."""
    groups = tuple(replace(group, copies=copies) for group in plan.groups[:num_groups])
    shares = {group.id: 1 / len(groups) for group in groups}
    rows = tuple(replace(row, shares=dict(shares)) for row in plan.assignment)
    return replace(plan, groups=groups, assignment=rows)


def played(play: Coroutine[Any, Any, None]) -> None:
    """Play on the event loop that `cuvee serve` takes: uvloop where it is installed, whose transports differ."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(play)


QUICK = ServeOptions(
    head_s=5.0, body_s=5.0, idle_s=30.0, connect_s=5.0, first_byte_s=20.0, silent_s=20.0, queue_s=10.0, probe_s=3.0,
    backoff_s=0.2, most_backoff_s=0.5, drain_s=2.0,
)  # fmt: skip
"""Options of a gateway whose clients are in a hurry."""


def deployment_of(engines, plan: Plan, **changes) -> Deployment:
    """Replicas for each group of `plan` in turn: as many engines as there are."""
    per_group = len(engines) // len(plan.groups)
    addresses = tuple(
        ReplicaAddress(
            f"http://127.0.0.1:{engine.port}",
            plan.groups[min(at // per_group, len(plan.groups) - 1)].id,
            f"e{at}",
            **changes,
        )
        for at, engine in enumerate(engines)
    )
    return Deployment(addresses, (ServedModel(MODEL, ("tiny",)),))


@asynccontextmanager
async def gateway(engines, plan: Plan | None = None, options: ServeOptions = QUICK, **changes):
    """A gateway before running engines; gives the server."""
    plan = plan or with_copies(two_types(), len(engines), 1)
    for engine in engines:
        if not engine.port:
            await engine.start()
    server = Server(serving_of(plan, deployment_of(engines, plan, **changes), options), options)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        while CLIENTS:
            await ended(CLIENTS.pop().writer)
        server.gateway.options = replace(options, drain_s=0.2)
        await server.drain()
        for engine in engines:
            await engine.stop()


@dataclass
class Reply:
    """A reply as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes = field(repr=False)

    @property
    def json(self):
        """Its body, read."""
        return json.loads(self.body)


CLIENTS: list["Client"] = []
"""Clients of the gateway that runs: they are closed with it."""


class Client:
    """One connection to a gateway."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, server: Server, address: tuple[str, int] | None = None) -> "Client":
        """A client of `server`, at its own address unless another is given."""
        client = cls(*await asyncio.open_connection(*(address or server.address)))
        CLIENTS.append(client)
        return client

    def send(self, record=None, path: str = "/v1/completions", *headers: str, method: str = "POST") -> None:
        """Send a request without waiting for its reply."""
        self.writer.write(request(record, path, *headers, method=method))

    async def reply(self, timeout_s: float = 40.0) -> Reply:
        """The next reply, in full."""
        async with asyncio.timeout(timeout_s):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
            body = raw = b""
            if headers.get("transfer-encoding") == "chunked":
                while True:
                    size = await self.reader.readuntil(b"\r\n")
                    data = await self.reader.readexactly(int(size, 16) + 2)
                    raw += size + data
                    body += data[:-2]
                    if size == b"0\r\n":
                        break
            elif "content-length" in headers:
                body = raw = await self.reader.readexactly(int(headers["content-length"]))
            else:
                body = raw = await self.reader.read()
            return Reply(int(lines[0].split(" ")[1]), headers, body, head + raw)

    async def ask(self, record=None, path: str = "/v1/completions", *headers: str, method: str = "POST") -> Reply:
        """Send a request, and wait for its reply."""
        self.send(record, path, *headers, method=method)
        return await self.reply()

    async def is_closed(self, timeout_s: float = 40.0) -> bool:
        """Whether the gateway closes the connection, once all it sent is read."""
        async with asyncio.timeout(timeout_s):
            with suppress(ConnectionError):
                await self.reader.read()
            return True

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


def request(record=None, path: str = "/v1/completions", *headers: str, method: str = "POST") -> bytes:
    """A request as bytes: by default for four tokens of the model."""
    body = b"" if method == "GET" else json.dumps({"model": "tiny", "prompt": "hi", **(record or {})}).encode()
    lines = "".join(f"{line}\r\n" for line in headers)
    head = f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode("latin-1") + body


async def ask(server: Server, record=None, path: str = "/v1/completions", *headers: str, method: str = "POST") -> Reply:
    """One request over a connection of its own."""
    client = await Client.to(server)
    try:
        return await client.ask(record, path, *headers, method=method)
    finally:
        client.close()


async def until(is_so: Callable[[], object], timeout_s: float = 40.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.01)


def words(num_tokens: int) -> str:
    """A prompt that is taken for so many tokens."""
    return "word" * num_tokens


def header_names(raw: bytes) -> list[str]:
    """Names of the headers of a message, in lower case."""
    head = raw.split(b"\r\n\r\n", 1)[0].decode("latin-1")
    return [re.split(":", line)[0].lower() for line in head.split("\r\n")[1:]]
