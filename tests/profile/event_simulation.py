"""A crude event simulation of one replica without pipeline: continuous batching with chunked prefill, step by step.

Scheduled as vLLM schedules: a prompt is admitted where it fits now; where the next step's tokens do not, the sequence
that was admitted last loses its cache, goes to the head of the queue, and is computed anew. Nothing here comes from
`cuvee.profile.load` or `cuvee.profile.latency`, nor what is recomputed; the time of a step is that of `StepTerms`.
"""

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.profile import AnalyticProvider, ReplicaConfig, kv_capacity_tokens
from cuvee.profile.analytic import step_limits
from cuvee.profile.load import loadable
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.workload.records import WorkloadType


@dataclass(frozen=True)
class Simulated:
    """Latency of each request [s], in order of arrival, and what was served.

    Attributes
        rate_req_per_s       At which requests end, from the first quarter to two thirds of them [req/s].
        recomputed_share     Tokens lost and computed anew per token of the answers [-].
    """

    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    rate_req_per_s: float
    recomputed_share: float


class _Steps:
    """Time of a step by its decode and prefill tokens [s]."""

    def __init__(self, provider: AnalyticProvider, config: ReplicaConfig, workload: WorkloadType) -> None:
        replica = loadable(provider, ReplicaArrays.of([config]), [workload])
        assert len(config.stages) == 1
        engine = provider.engine
        arrays = ReplicaArrays.of([config])
        most, budget = step_limits(arrays, provider.gpus, provider.engine)[0]
        self.places, self.budget = int(most), int(budget)
        self.cache_tokens = int(kv_capacity_tokens(provider.models[config.model], config, provider.gpus, engine))
        terms = replica.terms
        self.fixed_s = float(terms.start_s[0, 0, 0]) + engine.step_overhead_s
        self.matrix_s, self.read_s = float(terms.matrix_s_per_token[0, 0, 0]), float(terms.read_s[0, 0, 0])
        self.decode_s = float(terms.decode_s_per_token[0, 0, 0]) + engine.sequence_overhead_s + engine.scheduling_s
        self.prefill_s = float(terms.prefill_s_per_token[0, 0, 0])
        self.saved_s = 0.0 if terms.saved_s is None else float(terms.saved_s[0, 0, 0])
        self.saved_token_s = 0.0 if terms.saved_s_per_token is None else float(terms.saved_s_per_token[0, 0, 0])
        self.head_s, self.head_read_s = float(terms.head_s_per_token[0, 0, 0]), float(terms.head_read_s[0, 0, 0])

    def time_s(self, sequences: int, prefill: int) -> float:
        tokens = sequences + prefill
        layers_s = max(self.matrix_s * tokens, self.read_s) + self.prefill_s * prefill
        layers_s -= max(self.saved_s - self.saved_token_s * tokens, 0.0)
        head_s = max(self.head_s * sequences, self.head_read_s)
        return layers_s + self.decode_s * sequences + head_s + self.fixed_s


class _Replica:
    """Queue, cache and batch of one replica; requests are numbers."""

    def __init__(self, steps: _Steps, prompts: list[int], answers: list[int]) -> None:
        self.steps = steps
        self.waiting: deque[int] = deque()
        self.prefilling: deque[list[int]] = deque()  # request and prompt tokens left
        self.decoding: list[tuple[int, int]] = []  # step in which a request ends, and the request
        self.to_compute, self.left = list(prompts), list(answers)  # when admitted: tokens to compute, tokens to make
        self.began, self.admission = [0] * len(prompts), [0] * len(prompts)
        self.step, self.admitted, self.held, self.recomputed = 0, 0, 0, 0

    def schedule(self) -> int:
        """Make room for the step's tokens, admit what fits, and share out the budget: prompt tokens of the step."""
        while self.decoding and self.held + len(self.decoding) > self.steps.cache_tokens:
            self._put_back_last()
        budget, taken = self.steps.budget - len(self.decoding), 0
        for entry in self.prefilling:
            taken += self._take(entry, budget - taken)
        while self.waiting and taken < budget and len(self.decoding) + len(self.prefilling) < self.steps.places:
            tokens = self.to_compute[self.waiting[0]]
            if self.held + len(self.decoding) + tokens > self.steps.cache_tokens:
                break
            request = self.waiting.popleft()
            self.held += tokens
            self.admitted += 1
            self.admission[request] = self.admitted
            self.prefilling.append([request, tokens])
            taken += self._take(self.prefilling[-1], budget - taken)
        return taken

    def end_step(self) -> tuple[list[int], list[int]]:
        """Every decoding sequence has one more token: requests that have their last, and those that have a prompt."""
        self.step += 1
        self.held += len(self.decoding)
        done, computed = [], []
        while self.decoding and self.decoding[0][0] <= self.step:
            request = heapq.heappop(self.decoding)[1]
            self.held -= self.to_compute[request] + self.left[request] - 1
            done.append(request)
        while self.prefilling and self.prefilling[0][1] == 0:
            request = self.prefilling.popleft()[0]
            computed.append(request)
            if self.left[request] == 1:
                self.held -= self.to_compute[request]
                done.append(request)
            else:
                self.began[request] = self.step
                heapq.heappush(self.decoding, (self.step + self.left[request] - 1, request))
        return done, computed

    def _take(self, entry: list[int], room: int) -> int:
        taken = min(entry[1], room)
        entry[1] -= taken
        return taken

    def _put_back_last(self) -> None:
        """The sequence admitted last loses its cache and goes to the head of the queue."""
        if self.prefilling:
            request, missing = self.prefilling.pop()
            self.held -= self.to_compute[request]
            self.recomputed += self.to_compute[request] - missing
        else:
            last = max(self.decoding, key=lambda entry: self.admission[entry[1]])
            self.decoding.remove(last)
            heapq.heapify(self.decoding)
            request, made = last[1], self.step - self.began[last[1]] + 1
            cached = self.to_compute[request] + made - 1
            self.held -= cached
            self.recomputed += cached
            self.to_compute[request] = cached + 1  # the token made last is not in the cache yet
            self.left[request] -= made
        self.waiting.appendleft(request)


def simulate(
    provider: AnalyticProvider,
    config: ReplicaConfig,
    workload: WorkloadType,
    *,
    rate_req_per_s: float,
    num_requests: int,
    exponential_lengths: bool = False,
    seed: int = 1,
) -> Simulated:
    """Requests that arrive as a Poisson process, first come first served; the first fifth warms up, and is left out."""
    random = np.random.default_rng(seed)
    steps = _Steps(provider, config, workload)
    arrival = np.cumsum(random.exponential(1 / rate_req_per_s, num_requests))
    means = (workload.input_tokens, workload.output_tokens)
    shape = (num_requests, 2)
    draws = random.exponential(means, shape) if exponential_lengths else np.broadcast_to(means, shape)
    prompts, answers = (np.maximum(np.round(each), 1).astype(int).tolist() for each in draws.T)
    first, last = np.zeros(num_requests), np.zeros(num_requests)
    replica = _Replica(steps, prompts, answers)
    now, arrived, done = 0.0, 0, 0
    while done < num_requests:
        while arrived < num_requests and arrival[arrived] <= now:
            replica.waiting.append(arrived)
            arrived += 1
        prefill = replica.schedule()
        if not replica.decoding and not prefill:
            now = float(arrival[arrived])
            continue
        now += steps.time_s(len(replica.decoding), prefill)
        ended, computed = replica.end_step()
        for request in computed:
            first[request] = first[request] or now
        last[ended] = now
        done += len(ended)
    kept = slice(num_requests // 5, None)
    tokens = np.maximum(np.array(answers) - 1, 1)
    ends = np.sort(last)
    start, stop = num_requests // 4, num_requests * 2 // 3
    return Simulated(
        (first - arrival)[kept],
        ((last - first) / tokens)[kept],
        (last - arrival)[kept],
        float((stop - start) / (ends[stop] - ends[start])),
        replica.recomputed / sum(answers),
    )
