"""An OpenAI-compatible server of known service law, with the faults of real ones on request.

`python -m tests.profile.measure.server 8000` serves in real time.

Law: continuous batching. A step has every running request emit one token, and takes
step_s + sequence_s * (running requests) + prompt_token_s * (prompt tokens of the requests that joined in this step).
At most `slots` requests run, the others wait in order of arrival.
"""

import asyncio
import json
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TURNAROUND_S = 0.002
"""Of a step, time in which the requests of the next are gathered [s]."""


@dataclass
class Law:
    """How long a step takes, and how many requests run at once."""

    slots: int = 8
    step_s: float = 0.02
    sequence_s: float = 0.005
    prompt_token_s: float = 0.0

    def saturated_req_per_s(self, input_tokens: float, output_tokens: float) -> float:
        """Requests served a second where some always wait: a step serves slots / osl of them."""
        joining = self.slots / output_tokens
        step_s = self.step_s + self.sequence_s * self.slots + self.prompt_token_s * input_tokens * joining
        return joining / step_s


@dataclass
class Manners:
    """What the server does beside serving: 0, None and False stand for a good server."""

    takes_token_ids: bool = True
    takes_extra_fields: bool = True
    states_usage: bool = True
    stated_tokens: int | None = None
    tokens_per_word: float = 1.0
    added_tokens: int = 0
    stops_after: int | None = None
    cached_share: float = 0.0
    fail_every: int = 0
    fail_status: int = 429
    refuse_above_tokens: int = 10**9
    silent_above_tokens: int = 10**9
    stream: str = ""
    dies_after: int | None = None
    models: tuple[str, ...] = ("served",)
    owner: str = "vllm"
    version: str = "0.11.2"
    max_model_len: int = 32768
    key: str = ""


@dataclass
class _Running:
    body: dict[str, Any]
    prompt_tokens: int
    output_tokens: int
    pieces: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)
    emitted: int = 0
    gone: bool = False


class Server:
    """Counts what it is sent, and serves it by its law."""

    def __init__(self, law: Law | None = None, manners: Manners | None = None) -> None:
        self.law = law or Law()
        self.manners = manners or Manners()
        self.bodies: list[dict[str, Any]] = []
        self.tokens = 0
        self.most_under_way = 0
        self.under_way = 0
        self.url = ""
        self._waiting: deque[_Running] = deque()
        self._arrived = asyncio.Event()

    @property
    def requests(self) -> int:
        """Generations asked for."""
        return len(self.bodies)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["Server"]:
        """Serve on `port`, or on a free one."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/completions", self._generate)
        app.router.add_post("/v1/chat/completions", self._generate)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        engine = asyncio.create_task(self._engine())
        try:
            yield self
        finally:
            engine.cancel()
            await asyncio.gather(engine, return_exceptions=True)
            await runner.cleanup()

    async def _engine(self) -> None:
        law, running = self.law, list[_Running]()
        while True:
            await asyncio.sleep(TURNAROUND_S)  # whoever has its answer asks again, and joins the next step
            running = [each for each in running if not each.gone and each.emitted < each.output_tokens]
            joined_tokens = 0
            while self._waiting and len(running) < law.slots:
                each = self._waiting.popleft()
                if not each.gone:
                    running.append(each)
                    joined_tokens += each.prompt_tokens
            if not running:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            step_s = law.step_s + law.sequence_s * len(running) + law.prompt_token_s * joined_tokens
            await asyncio.sleep(step_s - TURNAROUND_S)
            for each in running:
                each.emitted += 1
                each.pieces.put_nowait(each.emitted)

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        manners = self.manners
        if manners.dies_after is not None and self.requests > manners.dies_after:
            raise web.HTTPServiceUnavailable
        if manners.fail_every and self.requests % manners.fail_every == 0:
            return web.json_response({"error": {"message": "slow down"}}, status=manners.fail_status)
        if not manners.takes_token_ids and isinstance(body.get("prompt"), list):
            return web.json_response({"detail": "prompt must be a string"}, status=422)
        if not manners.takes_extra_fields and {"ignore_eos", "min_tokens"} & set(body):
            return web.json_response({"error": {"message": "unknown field"}}, status=400)
        if _tokens_of(body, manners) > manners.refuse_above_tokens:
            return web.json_response({"error": {"message": "too long"}}, status=400)
        return None

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        manners = self.manners
        if manners.key and request.headers.get("Authorization") != f"Bearer {manners.key}":
            return web.json_response({"error": {"message": f"wrong key, not {manners.key}"}}, status=401)
        refusal = self._refusal(body)
        if refusal is not None:
            return refusal
        prompt_tokens = _tokens_of(body, manners)
        asked = body["max_tokens"]
        self.tokens += prompt_tokens + asked
        output_tokens = min(asked, manners.stops_after or asked)
        job = _Running(body, prompt_tokens, output_tokens)
        self._waiting.append(job)
        self._arrived.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._stream(request, job)
        finally:
            self.under_way -= 1
            job.gone = True

    async def _stream(self, request: web.Request, job: _Running) -> web.StreamResponse:
        manners = self.manners
        is_chat = "messages" in job.body
        if job.prompt_tokens > manners.silent_above_tokens:
            await asyncio.sleep(10**6)
        kind = "application/json" if manners.stream == "plain" else "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        if is_chat:
            await response.write(_event({"choices": [{"delta": {"role": "assistant", "content": ""}, "index": 0}]}))
        for count in range(1, job.output_tokens + 1):
            await job.pieces.get()
            finish = None
            if count == job.output_tokens:
                finish = "length" if job.output_tokens == job.body["max_tokens"] else "stop"
            if manners.stream == "broken" and count == 2:
                await response.write(b"<html>bad gateway</html>\n\n")
            if manners.stream == "cut" and count == 2:
                assert request.transport is not None
                request.transport.close()
                return response
            if manners.stream == "error" and count == 2:
                await response.write(_event({"error": {"message": "out of memory"}}))
                return response
            said = {"delta": {"content": " a"}} if is_chat else {"text": " a"}
            await response.write(_event({"choices": [{**said, "index": 0, "finish_reason": finish}]}))
        while manners.stream == "endless":
            await asyncio.sleep(self.law.step_s)
            await response.write(_event({"choices": [{"text": " a", "index": 0, "finish_reason": None}]}))
        if manners.states_usage:
            stated = (
                (job.prompt_tokens, job.output_tokens) if manners.stated_tokens is None else [manners.stated_tokens] * 2
            )
            usage = dict(zip(("prompt_tokens", "completion_tokens"), stated, strict=True))
            cached = int(job.prompt_tokens * manners.cached_share)
            details = {"prompt_tokens_details": {"cached_tokens": cached}}
            await response.write(_event({"choices": [], "usage": {**usage, **details}}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _models(self, request: web.Request) -> web.Response:
        manners = self.manners
        if manners.key and request.headers.get("Authorization") != f"Bearer {manners.key}":
            return web.json_response({"error": {"message": "no key"}}, status=401)
        models = [
            {"id": name, "owned_by": manners.owner, "max_model_len": manners.max_model_len} for name in manners.models
        ]
        return web.json_response({"object": "list", "data": models})

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": self.manners.version})

    async def _metrics(self, _: web.Request) -> web.Response:
        labels = 'block_size="16",cache_dtype="auto",enable_prefix_caching="True",num_gpu_blocks="4242"'
        return web.Response(text=f"# HELP x\nvllm:cache_config_info{{{labels}}} 1.0\n")


def free_port() -> int:
    """A port that is free now, for servers that come one after the other."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _tokens_of(body: dict[str, Any], manners: Manners) -> int:
    if "messages" in body:
        text = body["messages"][0]["content"]
    elif isinstance(body["prompt"], list):
        return len(body["prompt"]) + manners.added_tokens
    else:
        text = body["prompt"]
    return round(len(text.split()) * manners.tokens_per_word) + manners.added_tokens


def _event(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


async def _serve(port: int) -> None:
    law = Law()
    async with Server(law).serving(port) as server:
        print(f"{server.url}: 100x20 saturates at {law.saturated_req_per_s(100, 20):.3f} req/s")  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
