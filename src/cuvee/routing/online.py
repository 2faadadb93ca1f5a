"""Recognition of one request after the other: what `recognition` does to arrays, in plain numbers and as they come."""

import math
from collections.abc import Sequence
from functools import lru_cache

from cuvee.routing.recognition import BUCKETS_PER_OCTAVE
from cuvee.workload.records import Demand

MOST_KEPT = 2**16
"""Prompt lengths whose typical answer is remembered [-]."""

MEMORY = 256
"""Answers after which the older ones count less and less in a running mean [-]."""

ENOUGH = 8
"""Answers of one client from which its own mean is believed [-]."""

MOST_CLIENTS = 4096
"""Clients with a mean of their own [-]; the one seen first makes room."""

MOST_BUCKETS = 64
"""Buckets of prompt lengths [-]: 32 octaves."""


class TypeOf:
    """Workload types of one model by lengths: what `assign_types` and the type means of `expected_answers` say of one.

    Parameters
        demand    Types of the model.
        places    Row of the plan's assignment for each of them.
    """

    def __init__(self, demand: Demand, places: Sequence[int]) -> None:
        self.boxes = [
            (kind.box.input_low, kind.box.input_high, kind.box.output_low, kind.box.output_high, place)
            for kind, place in zip(demand.types, places, strict=True)
            if kind.box is not None
        ]
        self.means = [
            (math.log(kind.input_tokens), math.log(kind.output_tokens), place)
            for kind, place in zip(demand.types, places, strict=True)
            if kind.lengths_known
        ]
        self.only = places[0] if len(self.means) < len(places) or len(places) == 1 else None
        self.answers = [
            (math.log(kind.input_tokens), kind.output_tokens, count)
            for kind, count in zip(demand.types, demand.num_requests, strict=True)
            if kind.lengths_known
        ]
        self.typical_answer = lru_cache(MOST_KEPT)(self._typical_answer)

    def row(self, prompt_tokens: int, answer_tokens: int) -> int:
        """Row that a request of these lengths, 1 or more, is taken for."""
        if self.only is not None:
            return self.only
        for input_low, input_high, output_low, output_high, place in self.boxes:
            if input_low <= prompt_tokens < input_high and output_low <= answer_tokens < output_high:
                return place
        log_input, log_output = math.log(prompt_tokens), math.log(answer_tokens)
        nearest, shortest = self.means[0][2], math.inf
        for mean_input, mean_output, place in self.means:
            distance = (log_input - mean_input) ** 2 + (log_output - mean_output) ** 2
            if distance < shortest:
                nearest, shortest = place, distance
        return nearest

    def _typical_answer(self, prompt_tokens: int) -> int:
        """Mean answer of the demand to prompts of that length [tokens]."""
        if not self.answers:
            return 1
        log_prompt = math.log(max(prompt_tokens, 1))
        least = min(abs(log_prompt - each) for each, _, _ in self.answers) + 1e-9
        near = [(answer, count) for each, answer, count in self.answers if abs(log_prompt - each) <= least]
        return max(round(sum(answer * count for answer, count in near) / sum(count for _, count in near)), 1)


class RunningMean:
    """Mean of what came so far; after `MEMORY` values the older ones fade."""

    __slots__ = ("count", "mean")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0

    def add(self, value: float) -> None:
        """Take one more value into account."""
        if self.count < MEMORY:
            self.count += 1
        self.mean += (value - self.mean) / self.count


class AnswerLengths:
    """How long answers are going to be: as those of the client were, else as those to prompts of that length."""

    def __init__(self) -> None:
        self.of_bucket = [RunningMean() for _ in range(MOST_BUCKETS)]
        self.of_client: dict[str, RunningMean] = {}

    def expected(self, types: TypeOf, prompt_tokens: int, client: str) -> int:
        """Expected length of the answer to a prompt, 1 or more [tokens]."""
        own = self.of_client.get(client)
        if own is not None and own.count >= ENOUGH:
            return round(own.mean) or 1
        anyone = self.of_bucket[bucket(prompt_tokens)]
        return (round(anyone.mean) or 1) if anyone.count else types.typical_answer(prompt_tokens)

    def add(self, prompt_tokens: int, answer_tokens: int, client: str) -> None:
        """Learn from an answer; a `client` of "" has no mean of its own."""
        self.of_bucket[bucket(prompt_tokens)].add(answer_tokens)
        if not client:
            return
        own = self.of_client.get(client)
        if own is None:
            if len(self.of_client) >= MOST_CLIENTS:
                del self.of_client[next(iter(self.of_client))]
            own = self.of_client[client] = RunningMean()
        own.add(answer_tokens)


def bucket(prompt_tokens: int) -> int:
    """Bucket of a prompt length, as `recognition.bucket` has it [-]."""
    if prompt_tokens <= 1:
        return 0
    found = int(math.log2(prompt_tokens) * BUCKETS_PER_OCTAVE)
    return found if found < MOST_BUCKETS else MOST_BUCKETS - 1
