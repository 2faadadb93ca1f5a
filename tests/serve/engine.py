"""Engines of a few lines: they answer as they are told, and remember what they were asked. Run, this file is one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

Answer = Callable[["Engine", "Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """A request as an engine got it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self):
        """Its body, read."""
        return json.loads(self.body)


class Engine:
    """An engine on loopback that answers as `answer` says, and remembers what it was asked."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or completed
        self.asked: list[Asked] = []
        self.num_connections = 0
        self.cancelled = 0
        self.is_well = True
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> "Engine":
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Close everything."""
        self._server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.num_connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *lines = head[:-4].decode("latin-1").split("\r\n")
                headers = [tuple(each.split(": ", 1)) for each in lines]
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
                asked = Asked(line, headers, await reader.readexactly(length))
                if " /health " in line:
                    writer.write(whole(200 if self.is_well else 503, b"{}"))
                    await writer.drain()
                    continue
                self.asked.append(asked)
                await self.answer(self, asked, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            self.cancelled += 1
        finally:
            await ended(writer)


async def ended(writer: asyncio.StreamWriter) -> None:
    """Close a connection to the end."""
    writer.close()
    with suppress(ConnectionError, asyncio.CancelledError):
        await writer.wait_closed()


def whole(status: int, body: bytes, *more: bytes) -> bytes:
    """A reply of known length."""
    lines = b"".join(line + b"\r\n" for line in more)
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status, len(body), lines, body,
    )  # fmt: skip


def completion(num_tokens: int = 16, prompt_tokens: int = 32) -> bytes:
    """A completion with its usage."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": num_tokens}
    return json.dumps({"choices": [{"text": "x" * num_tokens}], "usage": usage}).encode()


async def completed(engine, asked, writer):
    """Answer at once: the tokens that were asked for, streamed if so wanted."""
    record = asked.json
    if record.get("stream"):
        await streamed(engine, asked, writer)
    else:
        writer.write(whole(200, completion(record.get("max_tokens", 16))))


async def streamed(engine, asked, writer, *, gap_s: float = 0.0, cut_after: int | None = None, closes: bool = False):
    """Answer with events, one a token."""
    last = b"connection: close\r\n" if closes else b""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n%b\r\n" % last)
    for number in range(asked.json.get("max_tokens", 4)):
        if number == cut_after:
            writer.transport.abort()
            return
        writer.write(chunk(b'data: {"n": %d}\n\n' % number))
        if gap_s:
            await writer.drain()
            await asyncio.sleep(gap_s)
    writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    if closes:
        await writer.drain()
        writer.close()


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _slowly(engine, asked, writer):
    await asyncio.sleep(0.005)
    await completed(engine, asked, writer)


async def _serve_for_ever() -> None:
    engine = await Engine(_slowly).start()
    print(engine.port, flush=True)  # noqa: T201 whoever started it reads that
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_for_ever())
