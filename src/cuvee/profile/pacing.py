"""How prompts are spread over the steps of a replica, and how they hold up the micro-batches of a pipeline.

In a round every micro-batch makes one step. On a pipeline they cannot overtake each other: that with the longest step
sets the pace of all. So what counts is the prefill of the fullest micro-batch of a round, L, not that of the mean one.

    q                       prompts that begin in a round: as many as answers end, N / osl
    room = M - b            prefill tokens of a full step
    n = ceil(isl / room)    steps that a prompt takes, the last of them with last = isl - (n - 1) room tokens

Prompts that begin in a round are a Poisson number K of mean q, and go to the m micro-batches in turn:

    n = 1    L = isl E[ceil(K / m)],  E[ceil(K / m)] ~ max(1 - e^-q, q / m + (m - 1) / (2 m) (1 - e^-2q))
    n > 1    L = room P(some prompt in a full step) + last P(none, but one in its last step)

The approximation is exact for m = 2 and within 11 % for m to 16. Sequences that are computed anew come beside a prompt,
in other micro-batches: of their tokens, the share of one micro-batch is added.

A pipeline that serves several types, of shares s, begins q' prompts in a round: 1 / q' is the mean of osl / B, B being
the sequences that cache and sequence limit admit of a type alone, and q' isl at most what m steps have room for. Where
prompts of two types begin in one round, the shorter is free. So with Q prompts a round of the types with longer
prompts, and P of those with prompts as long as its own, itself among them, a prompt costs

    (L(Q + P) - L(Q)) / P        instead of L(q) / q alone

which adds up to the mean of the longest. Between "as long" and "longer" a type passes over gradually, as the mean of
its prompts grows to `AS_LONG` times: of prompts that differ by less, chance says which is the longer. The cost is more
than alone where the others have few prompts, as a prompt then holds up all micro-batches for itself. Where it would be
less, it is taken as alone: who plans with these rates may give the replica that type and no other.

Assumptions
    Answers end at random: prompts do not come in bunches beyond chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.engine import EngineSettings

Array = NDArray[np.float64]

AS_LONG = 1.25
"""Prompts whose means differ by less than this factor are, the less they differ the more, as long as each other [-]."""

LEAST_SHARE = 1e-6
"""Share of a mix below which a type is taken to have this [-]: what one more prompt adds hangs on it no more."""


@dataclass(frozen=True, eq=False)
class Company:
    """Prompts that begin in a round of a pipeline, by those of the type alone [-]; shape (num_configs, num_workloads).

    Attributes
        longer    Q / q: of the types with longer prompts; 0 where a type is served alone.
        all       (Q + P) / q: those as long as its own as well; 1 where it is served alone.
    """

    longer: Array
    all: Array

    @classmethod
    def alone(cls, shape: tuple[int, ...]) -> "Company":
        """Every type on replicas of its own."""
        return cls(np.zeros(shape), np.ones(shape))

    @classmethod
    def of(
        cls,
        inputs: Array,
        outputs: Array,
        admitted: Array,
        prompts: Array,
        room: Array,
        fits: NDArray[np.bool_],
        shares: Array,
        in_flight: Array,
    ) -> "Company":
        """That of a mix.

        Parameters
            inputs, outputs    Mean lengths [tokens], shape (num_workloads,).
            admitted           Sequences of a type alone that are admitted [-], shape (num_configs, num_workloads).
            prompts            q: prompts of a type alone that begin in a round [-], the same shape.
            room               M - b: prefill tokens of a full step [tokens], the same shape.
            fits               Whether a replica serves the type, the same shape.
            shares             Of the types in all requests [-], shape (num_workloads,).
            in_flight          m: micro-batches under way [-], shape as `prompts`.
        """
        mine = np.where(fits, np.maximum(shares, LEAST_SHARE), 0.0)
        mine /= np.maximum(mine.sum(axis=1, keepdims=True), LEAST_SHARE)

        def mean(values: Array) -> Array:
            weighted: Array = (mine * values).sum(axis=1, keepdims=True)
            return np.maximum(weighted, LEAST_SHARE)

        begun = mine * np.minimum(1 / mean(outputs / admitted), mean(in_flight * room) / mean(inputs))  # s q'
        excess = np.log(inputs[:, None] / inputs) / np.log(AS_LONG)  # of the row's type over the column's
        is_mixed = fits & (in_flight > 1)
        longer, with_own = (begun @ np.clip(excess + shift, 0.0, 1.0) / prompts for shift in (0.0, 1.0))
        return cls(np.where(is_mixed, longer, 0.0), np.where(is_mixed, with_own, 1.0))


def paced_prefill(
    inputs: Array,
    prompts: Array,
    anew: Array,
    in_flight: Array,
    room: Array,
    company: Company,
    engine: EngineSettings,
) -> tuple[Array, Array]:
    """Prefill of the step that sets the pace where it has any [tokens], and such steps in a round [-].

    Parameters
        inputs       isl: mean prompt [tokens].
        prompts      q: prompts of the type alone that begin in a round [-].
        anew         Tokens computed anew in a step of a micro-batch, the mean [tokens].
        in_flight    m: micro-batches under way [-].
        room         M - b [tokens].
    Returns          both of the shape that all parameters broadcast to; their product is what the type alone adds to
                     the prefill of the step that sets the pace.
    """
    owed = prompts * inputs / in_flight + anew
    chunk = np.maximum(np.minimum(inputs, room), np.maximum(owed, 1.0))
    share = np.minimum(owed / chunk, 1.0)
    if not engine.held_up_share or not (in_flight > 1).any():
        return chunk, share

    def pace(times: Array) -> tuple[Array, Array]:
        """Mean prefill of a round's fullest micro-batch [tokens], and the share of the rounds with any [-]."""
        full = np.maximum(room, owed * times)
        fullest_share, fullest = _fullest(inputs, prompts * times, in_flight, full)
        fullest = np.clip(fullest + anew * times, owed * times, full)
        return fullest, np.maximum(np.maximum(fullest_share, fullest / full), LEAST_SHARE)

    by_itself, own_rounds = pace(np.ones_like(prompts))
    together, rounds = pace(company.all)
    added = (together - pace(company.longer)[0]) / (company.all - company.longer)
    costs_more = added > by_itself
    own = np.where(costs_more, added, by_itself)
    chunk_held = np.where(costs_more, together / rounds, by_itself / own_rounds)
    held_up = np.where(in_flight > 1, engine.held_up_share, 0.0)
    carried, paced = owed + held_up * (own - owed), np.where(held_up > 0, np.maximum(chunk_held, 1.0), chunk)
    return paced, carried / paced


def _fullest(inputs: Array, prompts: Array, in_flight: Array, room: Array) -> tuple[Array, Array]:
    """Share of the rounds with prefill [-], and mean prefill of a round's fullest micro-batch [tokens]."""
    steps = np.ceil(inputs / room - 1e-9)
    last = inputs - (steps - 1) * room
    in_turn = prompts / in_flight + (in_flight - 1) / (2 * in_flight) * -np.expm1(-2 * prompts)
    none_begins, none_full = np.exp(-prompts), np.exp(-prompts * (steps - 1))
    whole = inputs * np.maximum(1 - none_begins, in_turn)
    in_parts = room * (1 - none_full) + last * none_full * (1 - none_begins)
    return 1 - none_full * none_begins, np.where(steps > 1, in_parts, whole)
