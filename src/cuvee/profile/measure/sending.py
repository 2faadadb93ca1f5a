"""From "one request of this type" to its answer: allowance, prompt, call; and when failures are too many."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from cuvee.errors import InputError
from cuvee.profile.measure.allowance import Allowance
from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.client import Client
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.prompts import Prompts

FEWEST_FAILED = 10
"""Failures that are borne whatever their share [-]."""

PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}

EXACT_LENGTH = ("ignore_eos", "min_tokens")
"""Fields beyond the OpenAI API that make an answer as long as asked for."""

REMEDIES = {
    "HTTP 429": "lift the endpoint's rate limit, or stay below it with --max-concurrency",
    "HTTP 401": "name the environment variable that holds the key: --api-key-env NAME",
    "HTTP 403": "name the environment variable that holds the key: --api-key-env NAME",
    "HTTP 404": "check the address and --api: this path is not there",
    "timeout": "see whether the engine hangs; a longer wait is --timeout SECONDS",
    "endless answer": "let the engine stop at max_tokens; lengths cannot be held without",
    "not streamed": "measure the engine itself, or a gateway that streams",
    "malformed usage": "let the engine state the lengths as they are",
    "no usage": "let the engine state usage, as stream_options.include_usage asks for",
}


class FailedError(InputError):
    """The endpoint failed too many requests to be measured."""


class Failures:
    """Counts answers and failures of one step, and says when there are too many.

    Parameters
        most            Share of failed requests that is borne [-].
        is_answering    Whether the endpoint answered requests before those counted here.
    """

    def __init__(self, most: float, *, is_answering: bool = False) -> None:
        self._most = most
        self._place = "last" if is_answering else "first"
        self.answered = 0
        self.by_kind: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    @property
    def total(self) -> int:
        """Failed requests [-]."""
        return self.by_kind.total()

    def add(self, answer: Answer) -> None:
        """Count one answer; raises FailedError where failures are too many."""
        if not answer.failure:
            self.answered += 1
            return
        self.by_kind[answer.failure] += 1
        self._first.setdefault(answer.failure, answer.failure_text)
        if self.total >= FEWEST_FAILED and self.total > self._most * (self.answered + self.total):
            raise self.error()

    def error(self) -> FailedError:
        """What failed, for people."""
        kind = self.by_kind.most_common(1)[0][0]
        counts = ", ".join(f"{count} x {name}" for name, count in self.by_kind.most_common())
        words = f": {self._first[kind]}" if self._first[kind] else ""
        what, expected = f"{self.total} of {self.answered + self.total} requests", f"at most {self._most:.0%} failures"
        if not self.answered:
            which = self._place if self.total == 1 else f"{self._place} {self.total}"
            what = f"the {which} request" if self.total == 1 else f"all of the {which} requests"
            expected = "an endpoint that answers"
        return FailedError(
            f"{what} failed ({kind if len(self.by_kind) == self.total == 1 else counts}){words}",
            expected=expected,
            remedy=REMEDIES.get(kind, "look into the engine's log; the same command goes on where it ended"),
        )


class Sender:
    """Sends requests of wanted lengths to one model.

    Attributes
        prompts        How prompts are made.
        extra          Fields of `EXACT_LENGTH` that the server takes.
    """

    def __init__(
        self, client: Client, allowance: Allowance, prompts: Prompts, *, served_name: str, options: MeasureOptions
    ) -> None:
        self.client = client
        self.allowance = allowance
        self.prompts = prompts
        self.extra: tuple[str, ...] = EXACT_LENGTH
        self._served_name = served_name
        self._options = options

    def body(self, prompt: list[int] | str, output_tokens: int) -> dict[str, Any]:
        """One request as it is sent."""
        is_chat = self._options.api == "chat"
        asked = {"messages": [{"role": "user", "content": prompt}]} if is_chat else {"prompt": prompt}
        exact = {"ignore_eos": True, "min_tokens": output_tokens}
        return {
            "model": self._served_name,
            **asked,
            "max_tokens": output_tokens,
            **{name: exact[name] for name in self.extra},
            "temperature": 1.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def send(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        heard: Callable[[float], None] = lambda _: None,
        begun: Callable[[Answer], None] = lambda _: None,
    ) -> Answer:
        """Send one request and wait for its answer, which may be a failure.

        Parameters
            heard    Called with the time of each piece of the answer [s].
            begun    Called with the answer before there is anything in it.
        Raises       SpentError: nothing more may be sent.
        """
        number = self.allowance.take(input_tokens + output_tokens)
        prompt = self.prompts.make(number, input_tokens)
        answer = Answer(number, input_tokens, output_tokens, asyncio.get_running_loop().time())
        begun(answer)
        await self.client.stream(PATHS[self._options.api], self.body(prompt, output_tokens), answer, heard)
        if answer.is_answered and answer.counted:
            self.allowance.settle(answer.input_tokens - input_tokens)
            self.prompts.learn(prompt, answer.input_tokens)
        return answer
