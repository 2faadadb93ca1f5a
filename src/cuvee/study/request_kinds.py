"""Kinds of requests by what they ask most for: prompts, answers, or neither."""

from enum import StrEnum

from cuvee.workload.records import WorkloadType

PROMPT_HEAVY = 20.0
ANSWER_HEAVY = 2.0
"""Prompt tokens per answer token from which, and up to which, a type is called so [-]."""


class RequestKind(StrEnum):
    """What requests ask most for."""

    PROMPT_HEAVY = "prompt-heavy"
    BALANCED = "balanced"
    ANSWER_HEAVY = "answer-heavy"


def request_kind(workload: WorkloadType) -> RequestKind:
    """Kind of a workload type, by its mean lengths."""
    share = workload.input_tokens / workload.output_tokens
    if share >= PROMPT_HEAVY:
        return RequestKind.PROMPT_HEAVY
    return RequestKind.ANSWER_HEAVY if share <= ANSWER_HEAVY else RequestKind.BALANCED
