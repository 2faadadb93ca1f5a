"""An engine that answers at once: what is measured in front of it is the gateway. Run: gateway_backend.py PORT."""

import asyncio
import sys
from typing import cast

NUM_EVENTS = 16

BODY = (
    b'{"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"tiny","choices":[{"index":0,"text":'
    b'" hello world this is a fixed reply","logprobs":null,"finish_reason":"length"}],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":16,"total_tokens":36}}'
)
EVENT = (
    b'data: {"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"tiny","choices":[{"index":0,'
    b'"text":" tok","logprobs":null,"finish_reason":null}]}\n\n'
)


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(body: bytes) -> bytes:
    """A reply of known length."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
REPLY, OTHER = whole(BODY), whole(b'{"object":"list","data":[{"id":"tiny","object":"model"}]}')


class Backend(asyncio.Protocol):
    """One connection; requests are whole or come in pieces, never two at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.held = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.held) < end + 4 + length:
                return
            body, self.held = self.held[end + 4 : end + 4 + length], self.held[end + 4 + length :]
            if not head.startswith(b"post"):
                self.transport.write(OTHER)
            elif b'"stream":true' in body:
                self.transport.write(STREAM_HEAD)
                for _ in range(NUM_EVENTS):
                    self.transport.write(chunk(EVENT))
                self.transport.write(STREAM_END)
            else:
                self.transport.write(REPLY)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
