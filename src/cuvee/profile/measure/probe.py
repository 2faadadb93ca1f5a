"""The first requests: which prompts and fields a server takes, and whether answers come out as long as asked for."""

from itertools import product

from cuvee.errors import InputError
from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.prompts import Prompts
from cuvee.profile.measure.sending import EXACT_LENGTH, Failures, Sender

REFUSED = ("HTTP 400", "HTTP 404", "HTTP 422", "HTTP 500", "HTTP 501")
"""Failures that may mean that a field is not known, and not that the server is gone."""

PROBE_TOKENS = 40
PROBE_FACTOR = 10
"""The second probe of a text is so many times longer [-]: two lengths tell what a word has and what is added."""

ANSWER_TOKENS = 8
MOST_ADDED = 16
"""Tokens that a server may put before token ids [-], such as one that begins a sequence; more, and it read them
otherwise."""

SAME_LENGTH = 0.02
"""Widest gap between the length of a text and what was asked for at which no other is tried [-]."""

TRIES = 3


async def find_prompts(sender: Sender, options: MeasureOptions, *, seed: int, vocabulary: int | None) -> None:
    """Settle how `sender` makes prompts and asks for exact answers.

    Raises      FailedError: nothing is answered; InputError: answers are short, or prompts of unknown length.
                SpentError: nothing more may be sent.
    """
    kinds = ("tokens", "text") if options.prompts == "auto" else (options.prompts,)
    if options.api == "chat":
        kinds = ("text",)
    fields = (EXACT_LENGTH, EXACT_LENGTH[:1], ())
    failures = Failures(options.most_failed)
    for extra, kind in product(fields, kinds):
        sender.extra, sender.prompts = extra, Prompts(kind, seed, vocabulary=vocabulary)
        answer = await sender.send(PROBE_TOKENS, ANSWER_TOKENS)
        failures.add(answer)
        if answer.failure and answer.failure not in REFUSED:
            break
        if answer.failure:
            continue
        _require_full(answer)
        if kind == "text" or not answer.counted:
            await _measure_words(sender, answer)
            return
        added = answer.input_tokens - PROBE_TOKENS
        if 0 <= added <= MOST_ADDED:
            sender.prompts.added_tokens = added
            return
        if options.prompts == "tokens":
            raise InputError(
                f"{PROBE_TOKENS} token ids are counted as {answer.input_tokens} tokens",
                expected="a server that takes token ids as they are",
                remedy="leave out --prompts tokens",
            )
    raise failures.error()


async def _measure_words(sender: Sender, first: Answer) -> None:
    """Tokens of a word and those added to each prompt, from two lengths."""
    prompts = sender.prompts
    if prompts.kind == "tokens":
        return  # ids that nobody counts are as many as were sent
    # The first answer has corrected the length of a word; the second is to have as many words as tokens are asked for.
    prompts = sender.prompts = Prompts("text", prompts.seed, vocabulary=prompts.vocabulary)
    second = await sender.send(PROBE_TOKENS * PROBE_FACTOR, ANSWER_TOKENS)
    if second.failure:
        failures = Failures(0.0)
        failures.add(second)
        raise failures.error()
    if not (first.counted and second.counted):
        raise InputError(
            "the server takes no token ids and states no usage", expected="a word on how long a prompt was",
            remedy="let the engine state usage, as stream_options.include_usage asks for",
        )  # fmt: skip
    words = PROBE_TOKENS, PROBE_TOKENS * PROBE_FACTOR
    per_word = (second.input_tokens - first.input_tokens) / (words[1] - words[0])
    if per_word <= 0:
        raise InputError(
            f"{words[0]} words are {first.input_tokens} tokens, and {words[1]} words are {second.input_tokens}",
            expected="more tokens for more words",
            remedy="see whether something in between cuts prompts",
        )
    added = max(first.input_tokens - per_word * words[0], 0.0)
    sender.prompts = Prompts(
        "text", prompts.seed, vocabulary=prompts.vocabulary, tokens_per_word=per_word, added_tokens=added
    )


async def try_lengths(sender: Sender, input_tokens: int, output_tokens: int) -> Answer:
    """One request of a type, alone; of a text up to `TRIES`, until its length is what was asked for.

    Raises      InputError: the answer is short; SpentError: nothing more may be sent.
    """
    for _ in range(TRIES):
        answer = await sender.send(input_tokens, output_tokens)
        if answer.failure:
            return answer
        _require_full(answer)
        if abs(answer.input_tokens / input_tokens - 1) <= SAME_LENGTH:
            break
    return answer


def _require_full(answer: Answer) -> None:
    if answer.is_short:
        raise InputError(
            f"the answer ended after {answer.output_tokens} of {answer.asked_tokens} tokens",
            expected="an engine that goes on to max_tokens where ignore_eos or min_tokens asks for it",
            remedy="switch that on in the engine or gateway; without it lengths cannot be held",
        )
