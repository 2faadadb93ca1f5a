"""Times of rounds by the step-time law: every running sequence makes one token in a round.

On one stage a round is one step. A pipeline of S stages runs min(S, sequences) micro-batches, and a round is as many
cycles. Formulas: docs/simulator.md.
"""

from cuvee.simulate.arrays import Floats, Records
from cuvee.simulate.compiling import compiled, inlined

ALWAYS = 1e18
"""More tokens than any cache holds [tokens]."""


@compiled
def fixed_s(stages: Records, token_s: Floats, law: int, stage: int, sequences: float, tokens: int) -> float:
    """Time of a step on one stage but for attention [s]: `sequences` decode, `tokens` with those of prompts."""
    times = stages[law, stage]
    head_s = max(times.head_s * sequences, times.head_read_s)
    return token_s[law, stage, tokens] + times.sequence_s * sequences + head_s


@compiled
def host_s(laws: Records, law: int, sequences: float, running: int) -> float:
    """Host time of a step [s]."""
    host = laws[law]
    return host.step_s + host.sequence_s * sequences + host.running_s * running


@inlined
def decode_line(
    laws: Records, stages: Records, token_s: Floats, law: int, running: int, cached: int
) -> tuple[float, float, float]:
    """Time of a round without prefill, as a line in the tokens that all sequences attend to.

    Returns     its value at 0 tokens [s], its slope [s/token], and the tokens up to which it holds: in a pipeline
                another stage may be the slowest above them.
    """
    if laws[law].stages > 1:
        return pipeline_line(laws, stages, token_s, law, running, cached)
    value = fixed_s(stages, token_s, law, 0, float(running), running) + host_s(laws, law, float(running), running)
    return value, stages[law, 0].cache_s, ALWAYS


@compiled
def pipeline_line(
    laws: Records, stages: Records, token_s: Floats, law: int, running: int, cached: int
) -> tuple[float, float, float]:
    """The same of a pipeline: the slowest stage sets the pace, or the trip through all where sequences are few."""
    count = laws[law].stages
    batches = min(count, running)
    sequences = running / batches
    tokens = (running + batches - 1) // batches
    trip, trip_slope, best, best_slope = 0.0, 0.0, -1.0, 0.0
    for stage in range(count):
        value = fixed_s(stages, token_s, law, stage, sequences, tokens)
        slope = stages[law, stage].cache_s / batches
        trip += value / batches
        trip_slope += slope / batches
        if value + slope * cached > best + best_slope * cached:
            best, best_slope = value, slope
    if trip + trip_slope * cached > best + best_slope * cached:
        best, best_slope = trip, trip_slope
    until = ALWAYS
    for stage in range(count + 1):
        value, slope = trip, trip_slope
        if stage < count:
            value = fixed_s(stages, token_s, law, stage, sequences, tokens)
            slope = stages[law, stage].cache_s / batches
        if slope > best_slope:
            until = min(until, (best - value) / (slope - best_slope))
    factor = batches * laws[law].bubble
    return best * factor + batches * host_s(laws, law, sequences, running), best_slope * factor, until


@inlined
def mixed_s(
    laws: Records,
    stages: Records,
    token_s: Floats,
    law: int,
    running: int,
    cached: int,
    prompts: int,
    chunk: int,
    chunks: int,
    most_pairs: float,
    pairs: float,
) -> float:
    """Time of a round with prefill [s].

    Parameters
        running, cached      Decoding sequences, and the tokens they attend to.
        prompts              Sequences of which prompt tokens are computed.
        chunk, chunks        Prompt tokens of the micro-batch with most of them, and of all [tokens].
        most_pairs, pairs    Tokens that these attend to.
    """
    if laws[law].stages > 1:
        return pipeline_mixed_s(laws, stages, token_s, law, running, cached, prompts, chunk, chunks, most_pairs, pairs)
    value = fixed_s(stages, token_s, law, 0, float(running), running + chunks)
    value += stages[law, 0].cache_s * cached + stages[law, 0].pair_s * pairs
    return value + host_s(laws, law, float(running), running)


@compiled
def pipeline_mixed_s(
    laws: Records, stages: Records, token_s: Floats, law: int, running: int, cached: int, prompts: int, chunk: int,
    chunks: int, most_pairs: float, pairs: float,
) -> float:  # fmt: skip
    """The same of a pipeline."""
    count = laws[law].stages
    batches = min(count, running + prompts)
    sequences = running / batches
    held = laws[law].held_up
    carried = held * chunk + (1 - held) * chunks / batches
    attended = held * most_pairs + (1 - held) * pairs / batches
    tokens = min((running + batches - 1) // batches + int(carried + 0.5), token_s.shape[2] - 1)
    slowest, trip = 0.0, 0.0
    for stage in range(count):
        value = fixed_s(stages, token_s, law, stage, sequences, tokens)
        value += stages[law, stage].cache_s * cached / batches + stages[law, stage].pair_s * attended
        slowest = max(slowest, value)
        trip += value
    cycle_s = max(slowest, trip / batches) * laws[law].bubble
    return batches * (cycle_s + host_s(laws, law, sequences, running))


@inlined
def rounds_until(base_s: float, growth_s: float, lasting_s: float) -> int:
    """Rounds until `lasting_s` [s] are over, the first of `base_s` and each next longer by `growth_s`; at least 1."""
    if growth_s > 0:
        half = growth_s * 0.5
        linear = base_s - half
        rounds = (-linear + (linear * linear + 4 * half * max(lasting_s, 0.0)) ** 0.5) / (2 * half)
    else:
        rounds = lasting_s / base_s
    whole = int(rounds)
    return max(whole + 1 if whole < rounds - 1e-9 else whole, 1)
