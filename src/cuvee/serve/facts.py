"""What routing needs of a request's body, and nothing else: model, prompt length, answer length, stream."""

from dataclasses import dataclass
from typing import Any

import orjson

MOST_SEQUENCES = 4096
"""Answers that one request may ask for, prompts times choices [-]."""

MOST_MESSAGES = 20_000
"""Messages of one chat [-]: each is looked at, and meanwhile nobody else is served."""

OVERHEAD_BYTES = 16
"""What a chat template adds to a message, roughly [bytes of text]."""

PREFIX_TEXT = 1024
"""How much of a prompt's beginning tells whether its cache may be shared [characters or tokens]."""


class BodyError(Exception):
    """A body that cannot be routed; says which parameter is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(slots=True)
class Facts:
    """What routing knows of a request.

    Attributes
        model            As the client names it; "" where it names none.
        prompt_bytes     Text of the prompt [bytes]; of several prompts their mean.
        prompt_tokens    Its tokens, where they were given as such [tokens]; their mean; 0 where they are not known.
        most_tokens      Longest answer the client takes [tokens]; 0 where it sets no limit.
        least_tokens     Shortest answer it insists on [tokens].
        prompts          How many there are [-].
        sequences        Answers to be made at once: prompts times choices [-].
        is_stream        Whether the answer is to be streamed.
        beginning        What the prompt begins with, for prefix affinity; None of nothing.
        text             The prompt, for an exact tokenizer; dropped once it is counted.
    """

    model: str
    prompt_bytes: int
    prompt_tokens: int
    most_tokens: int
    least_tokens: int
    prompts: int
    sequences: int
    is_stream: bool
    beginning: str | None
    text: object


def read_facts(body: bytes, *, answers: bool) -> Facts:
    """Facts of a JSON body.

    Parameters
        answers    Whether the endpoint makes text: else an answer is one token.
    Raises         BodyError: not JSON, or fields of the wrong kind.
    """
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(f"the body is not JSON: {error}") from None
    if type(record) is not dict:
        raise BodyError("the body has to be a JSON object")
    get = record.get
    model = get("model", "")
    if type(model) is not str:
        raise BodyError("model has to be text", "model")
    prompt = get("messages")
    if prompt is not None:
        size, tokens, number, beginning = _of_messages(prompt)
    else:
        prompt = get("prompt")
        if prompt is None:
            prompt = get("input")
        size, tokens, number, beginning = _of_prompt(prompt)
    if not answers:
        return Facts(model, size, tokens, 1, 0, number, number, False, None, prompt)
    most, least, choices, best_of = _most_tokens(record), get("min_tokens"), get("n"), get("best_of")
    least = 0 if least is None else least  # null is as good as nothing
    choices, best_of = 1 if choices is None else choices, 1 if best_of is None else best_of
    if type(most) is not int or type(least) is not int or most < 0 or least < 0:
        raise BodyError("max_tokens and min_tokens have to be whole numbers of 0 or more", "max_tokens")
    if type(choices) is not int or type(best_of) is not int or not 0 < choices <= 1024 or not 0 < best_of <= 1024:
        raise BodyError("n has to be a whole number from 1 to 1024", "n")
    if most and get("ignore_eos") is True:
        least = most
    sequences = number
    if choices > 1 or best_of > 1 or number > MOST_SEQUENCES:
        sequences = min(number * max(choices, best_of), MOST_SEQUENCES)
    is_stream = get("stream") is True
    return Facts(model, size, tokens, most, least, number, sequences, is_stream, beginning, prompt)


def _most_tokens(record: dict[str, Any]) -> Any:  # noqa: ANN401 any JSON value
    """Longest answer that is asked for, by whichever name it has; 0 of none."""
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        value = record.get(name)
        if value is not None:
            return value
    return 0


def _of_prompt(prompt: Any) -> tuple[int, int, int, str | None]:  # noqa: ANN401 any JSON value
    """Bytes, tokens and number of prompts, and their beginning: of text, tokens, or lists of either."""
    kind = type(prompt)
    if kind is str:
        return _size(prompt), 0, 1, prompt[:PREFIX_TEXT]
    if prompt is None:
        return 0, 0, 1, None
    if kind is not list or not prompt:
        raise BodyError("the prompt has to be text, token ids, or a list of either", "prompt")
    inner = type(prompt[0])
    if inner is int:
        return 0, len(prompt), 1, str(prompt[:PREFIX_TEXT])
    number = len(prompt)
    if inner in (str, list) and number > MOST_SEQUENCES:
        raise BodyError(f"at most {MOST_SEQUENCES:,} prompts may be sent at once", "prompt")
    if inner is str:
        if not all(type(each) is str for each in prompt):
            raise BodyError("a list of prompts has to be of one kind", "prompt")
        return sum(map(_size, prompt)) // number, 0, number, prompt[0][:PREFIX_TEXT]
    if inner is list:
        if not all(type(each) is list for each in prompt):
            raise BodyError("a list of prompts has to be of one kind", "prompt")
        return 0, max(sum(map(len, prompt)) // number, 1), number, str(prompt[0][:PREFIX_TEXT])
    if inner is not dict:
        raise BodyError("the prompt has to be text, token ids, or a list of either", "prompt")
    return _of_messages(prompt)


def _of_messages(messages: Any) -> tuple[int, int, int, str | None]:  # noqa: ANN401 any JSON value
    """The same of chat messages, whose parts other than text count nothing.

    The beginning goes up to the first message of the user: what all conversations share tells none of them apart.
    """
    if type(messages) is not list:
        raise BodyError("messages has to be a list", "messages")
    if len(messages) > MOST_MESSAGES:
        raise BodyError(f"a chat has at most {MOST_MESSAGES:,} messages", "messages")
    size, beginning, is_begun = 0, "", False
    for message in messages:
        if type(message) is not dict:
            raise BodyError("each message has to be an object", "messages")
        content = message.get("content")
        if type(content) is str:
            size += _size(content) + OVERHEAD_BYTES
        elif type(content) is list:
            content = "".join(part["text"] for part in content if type(part) is dict and type(part.get("text")) is str)
            size += _size(content) + OVERHEAD_BYTES
        else:
            content = ""
        if not is_begun:
            beginning += content[:PREFIX_TEXT]
            is_begun = message.get("role") == "user" or len(beginning) >= 4 * PREFIX_TEXT
    return size, 0, 1, beginning or None


def _size(text: str) -> int:
    """Length of a text in UTF-8 [bytes]; lone surrogates, which JSON may hold, count as any other."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
