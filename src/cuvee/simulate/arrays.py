"""What the event kernel works on: arrays of records, one a replica, a request, a law or a stage."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Records = np.recarray[Any, np.dtype[Any]]
"""Records of one of the kinds below; a field is reached by its name."""

BLOCK_TOKENS = 16
"""Tokens of one block of the cache [tokens]."""

NONE = -1
"""No request, no replica."""

# What a replica does: nothing, decode only, decode and prefill, wait for a request to come through the front end.
IDLE, DECODE, MIXED, WAKE = range(4)

NUM_GAPS = 640
OCTAVE_BITS = 5
GAPS_PER_OCTAVE = 1 << OCTAVE_BITS
SHORTEST_GAP_S = 1e-4
"""Times between tokens are counted in bins, 32 to each doubling, from 0.1 ms to 105 s [s]."""

MANTISSA_BITS, EXPONENT_OF_1 = 52, 1023
"""Of a number in memory: bits of its mantissa, and the exponent that stands for 1."""

LAW = np.dtype(
    [
        ("step_s", "f8"),  # host time of a step [s]
        ("sequence_s", "f8"),  # the same per sequence of the step [s]
        ("running_s", "f8"),  # the same per running sequence [s]
        ("bubble", "f8"),  # factor on a pipeline's cycle [-]
        ("held_up", "f8"),  # how far prefill holds up other micro-batches [-]
        ("front_s", "f8"),  # time of the front end per request [s]
        ("send_s", "f8"),  # one token's cache to another replica, over an empty link [s]
        ("link_s", "f8"),  # time of the link that it takes [s]
        ("rows_on", "i8"),  # from the rows of requests to those of caches that it sends
        ("stages", "i8"),
        ("max_sequences", "i8"),
        ("max_tokens", "i8"),
        ("blocks", "i8"),  # of the cache
        ("reserves", "i8"),  # whether the answer's cache is set aside at admission
        ("ahead", "i8"),  # whether a round is scheduled while the one before is computed
        ("reuses", "i8"),  # whether who was put back finds what is left of its cache
        ("shares", "i8"),  # whether prompts find the cache of others that begin alike
    ]
)

STAGE = np.dtype(
    [
        ("sequence_s", "f8"),  # per decoding sequence [s]
        ("cache_s", "f8"),  # per token that those attend to [s]
        ("pair_s", "f8"),  # per token that prompt tokens attend to [s]
        ("head_s", "f8"),  # head, per decoding sequence [s]
        ("head_read_s", "f8"),  # head, at least [s]
    ]
)

REPLICA = np.dtype(
    [
        ("next_s", "f8"),  # end of what it does now [s]; inf when idle
        ("start_s", "f8"),  # start of that [s]
        ("front_s", "f8"),  # when its front end is free again [s]
        ("base_s", "f8"),  # first round of a run of decode rounds [s]
        ("growth_s", "f8"),  # how much longer each next one takes [s]
        ("seen_s", "f8"),  # requests that were ready by then are known to who schedules [s]
        ("busy_s", "f8"),  # time it computed [s]
        ("link_free_s", "f8"),  # when its link is free again [s]
        ("law", "i8"),
        ("group", "i8"),
        ("prefills", "i8"),  # whether it only prefills, and sends the cache on
        ("mode", "i8"),
        ("decoding", "i8"),  # sequences that decode
        ("step", "i8"),  # rounds so far
        ("rounds", "i8"),  # of the run it is in
        ("held", "i8"),  # blocks of decoding sequences
        ("reserved", "i8"),  # blocks of sequences in prefill
        ("cached", "i8"),  # tokens of decoding sequences
        ("prefilling", "i8"),  # sequences whose prompt is computed in parts
        ("head", "i8"),  # of its queue
        ("tail", "i8"),
        ("done", "i8"),  # list of prompts that are computed to the end in this round
        ("admissions", "i8"),
        ("preemptions", "i8"),
        ("freed", "i8"),  # blocks that were given back and not found again
        ("recomputed", "i8"),  # tokens whose cache was lost to those
    ]
)

REQUEST = np.dtype(
    [
        ("arrival_s", "f8"),
        ("ready_s", "f8"),  # when the front end of its replica has it ready [s]
        ("first_s", "f8"),  # first token [s]; 0 before
        (
            "last_s",
            "f8",
        ),  # the token before it was put back or sent on, or when its replica failed [s]
        ("finish_s", "f8"),  # last token [s]; -1 before, nan where it was not served
        ("prompt", "i4"),
        ("answer", "i4"),
        ("to_prefill", "i4"),  # tokens to compute before it decodes
        ("shipped", "i4"),  # of these, tokens whose cache another replica sent
        ("left", "i4"),  # answer tokens to make, from the start of decoding
        ("next", "i4"),  # in the list it stands in
        ("admission", "i4"),  # when it was admitted, in order
        ("replica", "i4"),  # where it is, or was last
        ("sender", "i4"),  # the replica that prefilled it for another one; -1 of none
        ("row", "i4"),  # type and model as the router takes them
        ("kind", "i4"),  # type and model as they are
        ("computed", "i4"),  # tokens whose cache it found when it was admitted
        ("kept", "i4"),  # blocks it filled before it was put back
        ("kept_until", "i8"),  # how far down the free blocks of its replica the first of these stands
        ("prefix", "i4"),  # number of the first tokens of its prompt; -1 where they are not known
    ]
)

HANDOFF = np.dtype(
    [
        ("time_s", "f8"),  # when the cache is there [s]
        ("request", "i8"),
    ]
)

# What requests, replicas and blocks of prompts are to `cuvee.simulate.prefix_cache`.
SHARING = np.dtype(
    [
        ("first", "i8"),  # where the numbers of its blocks begin
        ("count", "i4"),
        ("until", "i4"),  # of its blocks, those from here on are its own: others find another one's
        ("held", "i4"),  # leading blocks whose entries it uses
        ("blocks", "i4"),  # blocks of the cache in those
        ("own", "i4"),  # entry of what it had filled beyond those when it was put back
        ("own_after", "i4"),  # how many of its blocks stand before that
        ("found", "i4"),  # tokens it found when it was admitted for the first time; -1 before
    ]
)

ENTRY = np.dtype(
    [
        ("number", "i8"),  # of the block of prompts; -1 - request of what a sequence had filled that was put back
        ("blocks", "i4"),  # of the cache, from its first, that are still there
        ("uses", "i4"),  # sequences that use it; the following only where there are none
        ("before", "i4"),  # free blocks of nobody that are taken before it
        ("previous", "i4"),
        ("following", "i4"),
        ("chained", "i4"),  # the next entry of its bucket, or of the spare ones
    ]
)

SHELF = np.dtype(
    [
        ("oldest", "i4"),  # entry that is taken first
        ("newest", "i4"),
        ("spare", "i4"),  # entry that is no longer in use
        ("fresh", "i4"),  # entry that never was
        ("after", "i8"),  # free blocks of nobody that are taken after all entries
        ("free", "i8"),  # blocks of entries in the queue and of nobody
    ]
)

CURSOR = np.dtype(
    [
        ("arrived", "i8"),  # requests that have arrived
        ("happened", "i8"),  # events that have happened
        ("orphans", "i8"),  # first of the requests whose replica has failed, and which are to be routed anew
        ("orphaned_s", "f8"),  # when it failed [s]
    ]
)

STAY = np.dtype(
    [
        ("request", "i8"),
        ("replica", "i8"),
        ("from_s", "f8"),
        ("until_s", "f8"),
    ]
)

EVENT = np.dtype(
    [
        ("time_s", "f8"),
        ("kind", "i8"),  # opens, closes, fails or is looked at: see `cuvee.simulate.events`
        ("replica", "i8"),  # -1 of all
    ]
)


def picked(records: Records, where: Bools) -> Records:
    """The records at which `where` holds, a copy."""
    return records[where].view(np.recarray)
