"""The simulator as one would write it down: one engine step after the other, one object a sequence.

It says what `cuvee.simulate.play` computes, a thousand times slower; a test holds both to the same results.
"""

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import BLOCK_TOKENS
from cuvee.simulate.packing import Sending

SAME_TIME_S = 1e-9


@dataclass(eq=False)
class PlainEntry:
    """Cache of one block of prompts: `number` says which, and `users` how many sequences use it now."""

    number: int
    blocks: list[int]
    users: int = 1


@dataclass(eq=False)
class PlainRequest:
    """One request, its lengths [tokens] and what becomes of it; times in [s].

    Attributes
        index           Its place in the order of arrival.
        numbers         Of the blocks of its prompt.
        entries         Of the first of these, as far as it shares them.
        publishes       Whether others find what it computes of its prompt.
        found           Tokens found in the cache when it was first admitted [tokens]; -1 before.
        shipped         Tokens whose cache came from another replica [tokens].
        blocks          Blocks of the cache that it holds for itself.
        filled          Those that it had filled when it was put back.
        filled_after    Blocks of its prompt before those.
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
    index: int = 0
    numbers: Sequence[int] = ()
    entries: list[PlainEntry] = field(default_factory=list)
    publishes: bool = True
    found: int = -1
    shipped: int = 0
    blocks: list[int] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)
    filled_after: int = 0

    @property
    def known(self) -> int:
        """Tokens whose cache is needed before the next is made [tokens]."""
        return self.prompt + self.made


def blocks(tokens: int) -> int:
    """Blocks that hold `tokens` [-]."""
    return -(-tokens // BLOCK_TOKENS)


@dataclass(eq=False)
class PlainReplica:
    """One replica under `law`, between two rounds or in one that ends at `next_s` [s].

    Attributes
        sending         How it sends caches on, where it only prefills.
        prefix_tokens   Tokens of a block of prompts [tokens]; 0 where it does not look for prefixes.
        entries         What is in the cache of blocks of prompts, by their numbers.
        held            Blocks that sequences held each time somebody looked.
        sent            Requests whose cache is under way, and when it is there [s].
    """

    law: StepLaw
    sending: Sending | None = None
    prefix_tokens: int = 0
    entries: dict[int, PlainEntry] = field(default_factory=dict)
    entry_of: dict[int, PlainEntry] = field(default_factory=dict)
    sent: list[tuple[float, PlainRequest]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    link_free_s: float = 0.0
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
        reserves = self.law.reserves_answers and self.sending is None
        tokens = request.prompt + request.answer if reserves else request.known
        return blocks(tokens) - len(request.blocks) - self._shared(request, len(request.entries))

    def _take(self, request: PlainRequest) -> None:
        """Take the blocks that are free for the longest; what they held is lost."""
        for _ in range(self._needed(request)):
            block = self.free.popitem(last=False)[0]
            self.owner[block] = request
            request.blocks.append(block)
            if (entry := self.entry_of.pop(block, None)) is not None:
                entry.blocks.remove(block)
                if not entry.blocks:
                    del self.entries[entry.number]

    def _give_back(self, request: PlainRequest) -> None:
        """Free the blocks of a sequence that nobody else uses, the last one first."""
        self.free.update(OrderedDict.fromkeys(reversed(request.blocks)))
        for entry in reversed(request.entries):
            entry.users -= 1
            if entry.users == 0:
                self.free.update(OrderedDict.fromkeys(reversed(entry.blocks)))
        request.blocks, request.entries = [], []

    def _in_block(self, request: PlainRequest, place: int) -> int:
        """Full blocks of the cache in a block of its prompt."""
        return max(min(self.prefix_tokens, request.prompt - place * self.prefix_tokens), 0) // BLOCK_TOKENS

    def _shared(self, request: PlainRequest, places: int) -> int:
        """Blocks of the cache in so many blocks of its prompt."""
        return sum(self._in_block(request, place) for place in range(places))

    def _matched(self, request: PlainRequest) -> list[PlainEntry]:
        """Entries of the leading blocks of a prompt whose cache is all there."""
        found: list[PlainEntry] = []
        for place, number in enumerate(request.numbers if self.prefix_tokens and not request.shipped else ()):
            entry, wanted = self.entries.get(number), self._in_block(request, place)
            if entry is None or wanted == 0 or len(entry.blocks) < wanted:
                break
            found.append(entry)
        return found

    def _find(self, request: PlainRequest) -> None:
        """Use what is there of a prompt: whole blocks of it with others, what is left of the next one alone."""
        request.entries = self._matched(request)
        for entry in request.entries:
            if entry.users == 0:
                self._take_back(entry.blocks)
            entry.users += 1
        request.publishes = not request.shipped
        place = len(request.entries)
        if request.publishes and self.prefix_tokens and place < len(request.numbers) and self._in_block(request, place):
            rest = self.entries.get(request.numbers[place])
            if rest is not None and rest.users == 0:
                self._take_back(rest.blocks)
                request.blocks = rest.blocks
                for block in rest.blocks:
                    self.owner[block] = request
                    del self.entry_of[block]
                del self.entries[rest.number]
        if not request.blocks and place == request.filled_after:
            self._find_again(request)
        request.filled = []
        held = self._shared(request, place) + len(request.blocks)
        tokens = min(held * BLOCK_TOKENS, (request.known - 1) // BLOCK_TOKENS * BLOCK_TOKENS)
        request.computed = request.shipped or tokens
        if request.found < 0:
            request.found = request.computed

    def _take_back(self, blocks: Sequence[int]) -> None:
        """These blocks are no longer free."""
        for block in blocks:
            del self.free[block]

    def _publish(self, request: PlainRequest) -> None:
        """Others find what is computed of a prompt from now on; where another was first, they find that one's."""
        while request.publishes and len(request.entries) < len(request.numbers):
            place, number = len(request.entries), request.numbers[len(request.entries)]
            wanted, end = self._in_block(request, place), min((place + 1) * self.prefix_tokens, request.prompt)
            if wanted == 0 or request.computed < end:
                break
            if number in self.entries:
                request.publishes = False
                break
            entry = PlainEntry(number, request.blocks[:wanted])
            request.blocks = request.blocks[wanted:]
            self.entries[number] = entry
            self.entry_of.update(dict.fromkeys(entry.blocks, entry))
            request.entries.append(entry)

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
                if self.prefix_tokens:
                    self._publish(request)
                if request.computed == request.known:
                    self.lanes[lane] = None
                    self.prefilled.append(request)
        return parts

    def _admitted(self) -> PlainRequest | None:
        running = len(self.decoding) + len(self.prefilled) + sum(each is not None for each in self.lanes)
        if not self.waiting or self.waiting[0].ready_s > self.seen_s + SAME_TIME_S:
            return None
        matched = self._matched(self.waiting[0])
        unused = sum(len(entry.blocks) for entry in matched if entry.users == 0)
        alone = self._needed(self.waiting[0]) - self._shared(self.waiting[0], len(matched))
        if running >= self.law.max_num_seqs or alone + unused > len(self.free):
            return None
        self.admissions += 1
        request = self.waiting.popleft()
        request.admission = self.admissions
        self._find(request)
        self._take(request)
        return request

    def _find_again(self, request: PlainRequest) -> None:
        """Go on from the blocks it had filled, as far as nobody has taken them since."""
        for block in request.filled:
            if block not in self.free or self.owner[block] is not request:
                break
            del self.free[block]
            request.blocks.append(block)

    def _put_back_last(self) -> None:
        in_prefill = [each for each in self.lanes if each is not None]
        last = max(in_prefill or self.decoding, key=lambda each: each.admission)
        if in_prefill:
            self.lanes[self.lanes.index(last)] = None
        else:
            self.decoding.remove(last)
            last.computed = last.known - 1  # the token made last is not in the cache yet
        if self.law.reuses_cache:
            filled = last.computed // BLOCK_TOKENS - self._shared(last, len(last.entries))
            last.filled, last.filled_after = last.blocks[: max(filled, 0)], len(last.entries)
        self._give_back(last)
        last.computed = last.shipped = 0
        self.waiting.appendleft(last)
        self.preemptions += 1

    def _end_round(self) -> None:
        # The order in which blocks become free: decoding sequences as they arrived, then prompts, the last one first.
        together = [*sorted(self.decoding, key=lambda each: each.index), *reversed(self.prefilled)]
        stay = []
        for request in together:
            request.made += 1
            request.first_s = request.first_s or self.next_s
            if request.made == request.answer:
                request.finish_s = self.next_s
            elif self.sending is not None:
                self._send(request, self.sending)
            else:
                stay.append(request)
                continue
            self._give_back(request)
        self.decoding, self.prefilled = stay, []

    def _send(self, request: PlainRequest, sending: Sending) -> None:
        """The cache of a prompt goes over the link, after those before it."""
        begins_s = max(self.next_s, self.link_free_s)
        self.link_free_s = begins_s + request.prompt * sending.link_s
        request.shipped = request.prompt
        self.sent.append((begins_s + request.prompt * sending.send_s, request))

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
    look_s: Sequence[float] = (),
) -> None:
    """Play all requests, by arrival, to their last token.

    Parameters
        choose    The replica of a request as the n-th of all decisions; replicas are up to date. One whose prompt
                  another replica has computed comes a second time, with what was `shipped`.
        look_s    When to note what replicas hold, ascending [s].
    """
    coming = [(request.arrival_s, 1, request.index, request) for request in requests]  # of equal times caches are first
    decisions, looks = 0, deque(look_s)
    while True:
        for replica in replicas:
            if replica.sending is not None:  # what these send may come before anything else
                until_s = coming[0][0] if coming else math.inf
                replica.advance(min(until_s, looks[0]) if looks else until_s)
                for time_s, request in replica.sent:
                    heapq.heappush(coming, (time_s, 0, request.index, request))
                replica.sent = []
        if looks and (not coming or looks[0] <= coming[0][0]):
            for replica in replicas:
                replica.advance(looks[0])
                replica.held.append(replica.law.cache_tokens // BLOCK_TOKENS - len(replica.free))
            looks.popleft()
            continue
        if not coming:
            break
        now_s, _, _, request = heapq.heappop(coming)
        for replica in replicas:
            replica.advance(now_s)
        replicas[choose(decisions, request)].give(request, now_s)
        decisions += 1
    for replica in replicas:
        replica.advance(math.inf)
