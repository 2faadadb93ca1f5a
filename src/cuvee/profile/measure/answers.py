"""One streamed answer: what its server-sent events say, and when they came."""

import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DONE = b"[DONE]"
OTHER_FIELDS = (b":", b"event:", b"id:", b"retry:")
"""Lines of an event stream that carry no data."""

MOST_LINE_BYTES = 4_000_000

MOST_PIECES = 2
"""Events with a piece of the answer for each token asked for [-]; beyond that, and `FEW_PIECES`, it has no end."""

FEW_PIECES = 8

MOST_TOKENS = 100_000_000
"""Longest prompt or answer that a server is believed to state [tokens]."""


class StreamError(Exception):
    """A stream that is no answer; carries what kind of failure it is, and the server's words, whole."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.text = text


@dataclass
class Answer:
    """What came back of one request; grows while it is under way.

    Attributes
        number             Of the request, over all runs.
        input_tokens       Prompt length: as asked for, and once the server states it, as counted there [tokens].
        asked_tokens       Answer length asked for [tokens].
        started_s          When the request was written to its connection, on the loop's clock [s].
        token_s            When each piece of the answer came [s].
        ended_s            When the stream ended [s]; None while it is under way.
        output_tokens      Length of the answer [tokens]; 0 until it is known.
        cached_tokens      Of the prompt, those a prefix cache had [tokens].
        counted            Whether the server stated the prompt's length.
        impossible         Lengths that the server stated and no request has; empty where there are none.
        failure            Kind of failure; empty where there was none.
        failure_text       The server's own words about it.
        is_full            Whether it has the length of its type: the first answer of a held stream may be shorter.
    """

    number: int
    input_tokens: int
    asked_tokens: int
    started_s: float
    token_s: "array[float]" = field(default_factory=lambda: array("d"))
    ended_s: float | None = None
    output_tokens: int = 0
    cached_tokens: int = 0
    counted: bool = False
    impossible: str = ""
    failure: str = ""
    failure_text: str = ""
    is_full: bool = True

    @property
    def is_answered(self) -> bool:
        """Whether it ended as it should."""
        return self.ended_s is not None and not self.failure

    @property
    def is_short(self) -> bool:
        """Whether the engine stopped before the length that was asked for."""
        return self.is_answered and self.output_tokens < self.asked_tokens

    @property
    def ttft_s(self) -> float:
        """Time to the first token [s]."""
        return self.token_s[0] - self.started_s

    @property
    def end_to_end_s(self) -> float:
        """Time to the last token [s]."""
        return self.token_s[-1] - self.started_s

    @property
    def tpot_s(self) -> float | None:
        """Time of a token after the first [s]; None for an answer of one."""
        later = self.output_tokens - 1
        return (self.token_s[-1] - self.token_s[0]) / later if later > 0 else None


class EventReader:
    """Reads the event stream of one answer, chunk by chunk.

    Parameters
        answer    Is filled.

    Notes         A piece of the answer between its first and its last is only counted, not parsed: a load generator
                  that parses every token is itself the bottleneck at a few thousand a second.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._rest = b""
        self._finish = ""
        self._done = False
        self._without_text = array("d")

    def feed(self, data: bytes, now_s: float) -> int:
        """Take bytes that came at `now_s` [s]; gives the pieces of the answer among them [-].

        Raises      StreamError: no event stream, or one that reports an error.
        """
        before = len(self._answer.token_s)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_LINE_BYTES:
            raise StreamError("malformed stream", "a line without an end")
        for line in lines:
            self._line(line.rstrip(b"\r"), now_s)
        pieces, asked = len(self._answer.token_s) + len(self._without_text), self._answer.asked_tokens
        if pieces > MOST_PIECES * asked + FEW_PIECES:
            raise StreamError("endless answer", f"{pieces} pieces had come of an answer of {asked} tokens")
        return len(self._answer.token_s) - before

    def close(self, now_s: float) -> None:
        """The connection ended; settles the answer's length.

        Raises      StreamError: in the middle of the answer, or without a word on its length.
        """
        if self._rest.strip():
            self._line(self._rest, now_s)
        answer = self._answer
        if not (self._done or self._finish):
            raise StreamError("connection lost", "the stream ended in the middle of the answer")
        if not answer.token_s:
            answer.token_s.extend(self._without_text)
        if not answer.token_s:
            raise StreamError("empty answer", "no token came")
        if not answer.output_tokens and self._finish == "length":
            answer.output_tokens = answer.asked_tokens  # it ended because it reached what was asked for
        if not answer.output_tokens:
            raise StreamError("no usage", "the server states neither usage nor that the answer reached its length")
        answer.ended_s = now_s

    def _line(self, line: bytes, now_s: float) -> None:
        if not line or line.startswith(OTHER_FIELDS):
            return
        if not line.startswith(b"data:"):
            raise StreamError("malformed stream", line.decode(errors="replace"))
        payload = line[5:].strip()
        if payload == DONE:
            self._done = True
        elif self._answer.token_s and _is_plain(payload):
            self._answer.token_s.append(now_s)
        else:
            self._event(payload, now_s)

    def _event(self, payload: bytes, now_s: float) -> None:
        try:
            event = json.loads(payload)
        except (ValueError, RecursionError):
            raise StreamError("malformed stream", payload.decode(errors="replace")) from None
        if not isinstance(event, dict):
            raise StreamError("malformed stream", payload.decode(errors="replace"))
        if event.get("error"):
            raise StreamError("error in the stream", error_text(event))
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._choice(choices[0], now_s)
        if isinstance(event.get("usage"), dict):
            self._usage(event["usage"])

    def _choice(self, choice: Mapping[str, Any], now_s: float) -> None:
        if isinstance(choice.get("finish_reason"), str):
            self._finish = choice["finish_reason"]
        delta = choice.get("delta")
        if isinstance(delta, dict):
            has_text = any(delta.get(name) for name in ("content", "reasoning_content", "reasoning"))
            begun = bool(self._answer.token_s)  # a chat begins with the role alone, before there is a token
        else:
            has_text, begun = bool(choice.get("text")), True
        if has_text or (begun and not self._finish):  # half a character has no text yet, and is a token
            self._answer.token_s.append(now_s)
        else:
            self._without_text.append(now_s)

    def _usage(self, usage: Mapping[str, Any]) -> None:
        answer = self._answer
        prompt, output = (_whole(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
        details = usage.get("prompt_tokens_details")
        cached = _whole(details.get("cached_tokens")) if isinstance(details, dict) else None
        for name, value in (("prompt_tokens", prompt), ("completion_tokens", output), ("cached_tokens", cached)):
            if isinstance(value, int | float) and MOST_TOKENS < value < math.inf:
                raise StreamError("malformed usage", f"{name} above {MOST_TOKENS:,}")
            if value is not None and not (isinstance(value, int) and value >= 0):
                answer.impossible = f"{name} = {value!r}" if isinstance(value, int | float) else f"a text as {name}"
        if isinstance(prompt, int) and prompt > 0:
            answer.input_tokens, answer.counted = prompt, True
        if isinstance(output, int) and output > 0:
            answer.output_tokens = output
        if isinstance(cached, int) and cached > 0:
            answer.cached_tokens = cached


def _whole(value: object) -> object:
    """`value`, as an integer where it is a whole number: JSON has one kind of numbers, and some servers write 12.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_plain(payload: bytes) -> bool:
    """Whether an event is one more piece in the middle of an answer, and nothing else."""
    return (
        (b'"finish_reason":null' in payload or b'"finish_reason": null' in payload)
        and (b'"usage"' not in payload or b'"usage":null' in payload or b'"usage": null' in payload)
        and b'"error"' not in payload
        and payload.endswith(b"}")
        and b'"choices":[]' not in payload
    )


def error_text(body: Mapping[str, Any]) -> str:
    """The words of an error object, whole, in the shapes that servers give it."""
    error = body.get("error", body)
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())
