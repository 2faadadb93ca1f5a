"""Step-time laws of engines, fitted to the requests of short runs of theirs; the simulator plays them."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.engine_runs import EngineRun
from cuvee.simulate.run_fit import fit_law
from cuvee.simulate.run_setup import RunSetup
from tests.e2e.replay import Replayed, replay

BATCH_TOKENS = 2048
"""Tokens of one step at most: llama.cpp's n_batch [tokens]."""

PROBE_PROMPTS, PROBE_ANSWER, PROBES = (32, 224), 24, 4
"""Lengths of lone requests from which the search begins, and how many of each are sent [tokens, -]."""


def linear_law(*, step_s: float, token_s: float, sequence_s: float, parallel: int) -> StepLaw:
    """A law of one engine: step_s a step, token_s a token of it, sequence_s more for a decoding sequence."""
    nothing = np.zeros(1)
    return StepLaw(
        token_s=token_s * np.arange(BATCH_TOKENS + 1, dtype=np.float64)[None], sequence_s=np.array([sequence_s]),
        cache_s=np.array([token_s * 1e-4]), pair_s=np.array([token_s * 1e-4]), head_s=nothing, head_read_s=nothing,
        step_overhead_s=step_s, sequence_overhead_s=0.0, scheduling_s=0.0, bubble=1.0, held_up_share=1.0,
        max_num_seqs=parallel, max_num_tokens=BATCH_TOKENS, cache_tokens=10**9, reserves_answers=True,
        max_req_per_s=1e12,
    )  # fmt: skip


def first_guess(url: str, model: str, parallel: int) -> StepLaw:
    """A law by lone requests, one after the other: time by prompt length, and by token of the answer."""
    found = []
    for length in PROBE_PROMPTS:
        prompt, answer = np.full(1, length), np.full(1, PROBE_ANSWER)
        found.append([replay(url, model, np.zeros(1), prompt, answer, seed=each) for each in range(PROBES)])
    ttft_s = [min(float(each.ttft_s[0]) for each in runs) for runs in found]
    token_s = max((ttft_s[1] - ttft_s[0]) / (PROBE_PROMPTS[1] - PROBE_PROMPTS[0]), 1e-6)
    tpot_s = min(float((each.last_s - each.first_s)[0]) / (PROBE_ANSWER - 1) for runs in found for each in runs)
    return linear_law(step_s=tpot_s / 2, token_s=token_s, sequence_s=tpot_s / 2 - token_s, parallel=parallel)


def fitted(run: Replayed, guess: StepLaw) -> StepLaw:
    """`guess` with the multipliers under which it plays the run's requests as they were."""
    ended = ~np.isnan(run.last_s)
    engine_run = EngineRun(
        Path(), cast(RunSetup, SimpleNamespace(num_replicas=1)), run.due_s[ended], run.due_s[ended],
        run.first_s[ended], run.last_s[ended], run.prompt[ended], run.answer[ended],
    )  # fmt: skip
    chosen = np.ones(int(ended.sum()), bool)
    chosen[0] = False  # no cold start: the engine was warm
    return fit_law(engine_run, guess, chosen).applied(guess)
