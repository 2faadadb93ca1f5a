"""The simulator as one would write it down: one engine step after the other, one object a sequence.

It says what `cuvee.simulate.play` computes, a thousand times slower; a test holds both to the same results.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import BLOCK_TOKENS

SAME_TIME_S = 1e-9


@dataclass(eq=False)
class PlainRequest:
    """One request, its lengths [tokens] and what becomes of it; times in [s].

    Attributes
        blocks    Blocks of the cache that it holds.
        filled    Those that it had filled when it was put back.
    """

    arrival_s: float
    prompt: int
    answer: int
    ready_s: float = 0.0
    first_s: float = 0.0
    finish_s: float = -1.0
    made: int = 0
    computed: int = 0
    admission: int = 0
    blocks: list[int] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)

    @property
    def known(self) -> int:
        """Tokens whose cache is needed before the next is made [tokens]."""
        return self.prompt + self.made


def blocks(tokens: int) -> int:
    """Blocks that hold `tokens` [-]."""
    return -(-tokens // BLOCK_TOKENS)


@dataclass(eq=False)
class PlainReplica:
    """One replica under `law`, between two rounds or in one that ends at `next_s` [s]."""

    law: StepLaw
    next_s: float = math.inf
    front_s: float = 0.0
    waiting: deque[PlainRequest] = field(default_factory=deque)
    decoding: list[PlainRequest] = field(default_factory=list)
    lanes: list[PlainRequest | None] = field(default_factory=list)
    prefilled: list[PlainRequest] = field(default_factory=list)
    free: OrderedDict[int, None] = field(default_factory=OrderedDict)
    owner: dict[int, PlainRequest] = field(default_factory=dict)
    seen_s: float = 0.0
    start_s: float = 0.0
    in_round: bool = False
    admissions: int = 0
    preemptions: int = 0

    def __post_init__(self) -> None:
        self.lanes = [None] * self.law.num_stages
        self.free = OrderedDict.fromkeys(range(self.law.cache_tokens // BLOCK_TOKENS))

    def give(self, request: PlainRequest, now_s: float) -> None:
        """Put `request` at the end of the queue, through the front end."""
        request.ready_s = max(now_s, self.front_s)
        self.front_s = request.ready_s + 1 / self.law.max_req_per_s
        self.waiting.append(request)
        if self.next_s == math.inf:
            self.next_s = request.ready_s

    def advance(self, until_s: float) -> None:
        """Play what is due before `until_s` [s]."""
        while self.next_s < until_s:
            if self.in_round:
                self._end_round()
            self._begin_round()

    def _needed(self, request: PlainRequest) -> int:
        """Blocks that a sequence needs beyond those it holds, before it makes its next token."""
        tokens = request.prompt + request.answer if self.law.reserves_answers else request.known
        return blocks(tokens) - len(request.blocks)

    def _take(self, request: PlainRequest) -> None:
        """Take the blocks that are free for the longest; what they held is lost."""
        for _ in range(self._needed(request)):
            block = self.free.popitem(last=False)[0]
            self.owner[block] = request
            request.blocks.append(block)

    def _give_back(self, request: PlainRequest) -> None:
        """Free the blocks of a sequence, the last one first."""
        self.free.update(OrderedDict.fromkeys(reversed(request.blocks)))
        request.blocks = []

    def _begin_round(self) -> None:
        # Who schedules ahead does so when the round before begins, and waits for nothing where there was none.
        self.seen_s = self.start_s if self.law.schedules_ahead and self.in_round else self.next_s
        self.start_s = self.next_s
        while self.decoding and sum(map(self._needed, self.decoding)) > len(self.free):
            self._put_back_last()
        for request in self.decoding:
            self._take(request)
        decoding = len(self.decoding)
        per_batch = -(-decoding // self.law.num_stages)
        parts = self._prefill(self.law.max_num_tokens - per_batch)
        if any(parts):
            lasting_s = self._round_s(decoding, parts)
        elif decoding:
            lasting_s = self._round_s(decoding, [])
        else:
            self.in_round = False
            self.next_s = max(self.next_s, self.waiting[0].ready_s) if self.waiting else math.inf
            return
        self.in_round = True
        self.next_s += lasting_s

    def _prefill(self, budget: int) -> list[list[tuple[int, int]]]:
        """Prompt tokens of each micro-batch, which take turns: (tokens before, tokens) of the prompts it computes."""
        parts: list[list[tuple[int, int]]] = [[] for _ in self.lanes]
        goes_on = True
        while goes_on:
            goes_on = False
            for lane, mine in enumerate(parts):
                left = budget - sum(tokens for _, tokens in mine)
                if left > 0 and self.lanes[lane] is None:
                    self.lanes[lane] = self._admitted()
                request = self.lanes[lane]
                if left <= 0 or request is None:
                    continue
                tokens = min(left, request.known - request.computed)
                mine.append((request.computed, tokens))
                request.computed += tokens
                goes_on = True
                if request.computed == request.known:
                    self.lanes[lane] = None
                    self.prefilled.append(request)
        return parts

    def _admitted(self) -> PlainRequest | None:
        running = len(self.decoding) + len(self.prefilled) + sum(each is not None for each in self.lanes)
        if not self.waiting or self.waiting[0].ready_s > self.seen_s + SAME_TIME_S:
            return None
        if running >= self.law.max_num_seqs or self._needed(self.waiting[0]) > len(self.free):
            return None
        self.admissions += 1
        request = self.waiting.popleft()
        request.admission = self.admissions
        if self.law.reuses_cache:
            self._find_again(request)
        self._take(request)
        return request

    def _find_again(self, request: PlainRequest) -> None:
        """Go on from the blocks it had filled, as far as nobody has taken them since."""
        for block in request.filled:
            if block not in self.free or self.owner[block] is not request:
                break
            del self.free[block]
            request.blocks.append(block)
        request.computed = len(request.blocks) * BLOCK_TOKENS

    def _put_back_last(self) -> None:
        in_prefill = [each for each in self.lanes if each is not None]
        last = max(in_prefill or self.decoding, key=lambda each: each.admission)
        if in_prefill:
            self.lanes[self.lanes.index(last)] = None
        else:
            self.decoding.remove(last)
            last.computed = last.known - 1  # the token made last is not in the cache yet
        last.filled = last.blocks[: last.computed // BLOCK_TOKENS]
        self._give_back(last)
        last.computed = 0
        self.waiting.appendleft(last)
        self.preemptions += 1

    def _end_round(self) -> None:
        for request in [*self.decoding, *self.prefilled]:
            request.made += 1
            request.first_s = request.first_s or self.next_s
            if request.made == request.answer:
                request.finish_s = self.next_s
        together = [*self.decoding, *self.prefilled]
        for request in together:
            if request.finish_s >= 0:
                self._give_back(request)
        self.decoding = [request for request in together if request.finish_s < 0]
        self.prefilled = []

    def _round_s(self, running: int, parts: Sequence[Sequence[tuple[int, int]]]) -> float:
        """Time of a round [s]; see `cuvee.simulate.step_time`."""
        law, cached = self.law, sum(request.known for request in self.decoding)
        chunks = [sum(tokens for _, tokens in lane) for lane in parts] or [0]
        pairs = [sum(tokens * (before + tokens / 2) for before, tokens in lane) for lane in parts] or [0.0]
        batches = min(law.num_stages, running + sum(map(len, parts)))
        sequences, most = running / batches, chunks.index(max(chunks))
        held = law.held_up_share if law.num_stages > 1 else 1.0
        carried = held * chunks[most] + (1 - held) * sum(chunks) / batches
        attended = held * pairs[most] + (1 - held) * sum(pairs) / batches
        tokens = min(-(-running // batches) + int(carried + 0.5), law.max_num_tokens)
        stage_s = [
            float(
                law.token_s[stage, tokens]
                + law.sequence_s[stage] * sequences
                + max(law.head_s[stage] * sequences, law.head_read_s[stage])
                + law.cache_s[stage] * cached / batches
                + law.pair_s[stage] * attended
            )
            for stage in range(law.num_stages)
        ]
        host_s = law.step_overhead_s + law.sequence_overhead_s * sequences + law.scheduling_s * running
        return batches * (max(*stage_s, sum(stage_s) / batches) * law.bubble + host_s)


def play_plainly(
    requests: Sequence[PlainRequest],
    replicas: Sequence[PlainReplica],
    choose: Callable[[int, PlainRequest], int],
) -> None:
    """Play all requests, by arrival, to their last token; `choose` tells the replica of each, which are up to date."""
    for index, request in enumerate(requests):
        for replica in replicas:
            replica.advance(request.arrival_s)
        replicas[choose(index, request)].give(request, request.arrival_s)
    for replica in replicas:
        replica.advance(math.inf)
