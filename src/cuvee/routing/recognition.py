"""Which workload type a request is taken for before its answer is known, from its prompt and an expected answer."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cuvee.workload.assign import assign_types
from cuvee.workload.records import Demand

Ints = NDArray[np.int64]

BUCKETS_PER_OCTAVE = 2
"""Prompts whose lengths lie within a factor of 1.41 share an estimate of their answers [-]."""


class Foresight(StrEnum):
    """What is known of an answer before it is there."""

    KNOWN = "known"
    """Its length: as good as it can be, for comparison."""
    TYPE_MEAN = "mean"
    """The mean answer of the demand to prompts of that length."""
    ONLINE = "online"
    """The mean of the answers so far to prompts of about that length."""


def bucket(prompt_tokens: Ints) -> Ints:
    """Number of the bucket of each prompt length, by its logarithm [-]."""
    buckets: Ints = np.floor(np.log2(np.maximum(prompt_tokens, 1)) * BUCKETS_PER_OCTAVE).astype(np.int64)
    return buckets


def expected_answers(demand: Demand, prompt: Ints, answer: Ints, foresight: Foresight) -> Ints:
    """Length that each answer is expected to have when its request arrives [tokens].

    Parameters
        prompt, answer    Lengths in order of arrival [tokens]; of an answer, what came before may use it.
    """
    if foresight is Foresight.KNOWN:
        return answer
    typical = _type_means(demand, prompt)
    if foresight is Foresight.TYPE_MEAN:
        return typical
    expected = typical.copy()
    buckets = bucket(prompt)
    for each in np.unique(buckets):
        mine = np.flatnonzero(buckets == each)
        before = np.concatenate([[0], np.cumsum(answer[mine])[:-1]])
        counts = np.arange(len(mine))
        expected[mine] = np.where(counts > 0, np.round(before / np.maximum(counts, 1)), typical[mine])
    return np.maximum(expected, 1)


def _type_means(demand: Demand, prompt: Ints) -> Ints:
    """Mean answer of the types whose prompts are nearest to each prompt, by ratio and weighted by their requests."""
    lengths = np.log([kind.input_tokens for kind in demand.types])
    answers = np.array([kind.output_tokens for kind in demand.types])
    counts = np.array(demand.num_requests)
    distance = np.abs(np.log(np.maximum(prompt, 1))[:, None] - lengths[None, :])
    near = distance <= distance.min(axis=1, keepdims=True) + 1e-9
    weight = near * counts
    means: Ints = np.maximum(np.round((weight @ answers) / weight.sum(axis=1)), 1).astype(np.int64)
    return means


def recognised(demand: Demand, prompt: Ints, answer: Ints, foresight: Foresight, places: Sequence[int]) -> Ints:
    """Row that the router takes each request for: `places` of the types of `demand`."""
    expected = expected_answers(demand, prompt, answer, foresight)
    return np.asarray(places)[assign_types(demand, prompt, expected)]
