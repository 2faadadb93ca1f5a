"""An open-loop load generator: requests leave when they are due, whether or not earlier ones have come back."""

import asyncio
import json
import time
from dataclasses import dataclass

import aiohttp
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_TOKEN, NUM_TOKENS = 20, 400
"""Token ids that prompts are drawn from."""

TIMEOUT_S = 120.0


@dataclass(frozen=True, eq=False)
class Replayed:
    """What became of the requests, in the order of their arrival; times from the first one due [s].

    Attributes
        due_s           When each was to leave.
        late_s          How much later it left: the load generator's own fault.
        first_s, last_s First and last token; nan where it failed.
        answer          Tokens that came [-]; where the server counts them, as it does.
        group           Group that served it, "" where nobody said.
        error           What went wrong, "" where nothing did.
        processor_share Of one processor that the load generator itself took [-].
    """

    due_s: Floats
    late_s: Floats
    first_s: Floats
    last_s: Floats
    prompt: Ints
    answer: Ints
    group: tuple[str, ...]
    error: tuple[str, ...]
    processor_share: float

    @property
    def ttft_s(self) -> Floats:
        """Time to first token [s]."""
        return self.first_s - self.due_s

    @property
    def e2e_s(self) -> Floats:
        """Time to the last token [s]."""
        return self.last_s - self.due_s

    @property
    def failed(self) -> int:
        """Requests without a whole answer [-]."""
        return sum(bool(each) for each in self.error)

    def rate_req_per_s(self) -> float:
        """Requests that end per second between the first tenth of the time of arrivals and its end [req/s]."""
        span_s = float(self.due_s[-1])
        begun_s = span_s / 10
        inside = (self.last_s > begun_s) & (self.last_s <= span_s)
        return float(inside.sum()) / (span_s - begun_s)

    def shares(self) -> dict[str, float]:
        """Share of each group of the requests that were served [-]."""
        served = [group for group, error in zip(self.group, self.error, strict=True) if not error]
        return {group: served.count(group) / len(served) for group in sorted(set(served))} if served else {}


def replay(url: str, model: str, due_s: Floats, prompt: Ints, answer: Ints, *, seed: int = 0) -> Replayed:
    """Send requests to an OpenAI-compatible server at their times, and wait for the last answer."""
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(FIRST_TOKEN, FIRST_TOKEN + NUM_TOKENS, length).tolist() for length in prompt]
    number = len(due_s)
    found = _Found(np.full((4, number), np.nan), np.zeros(number, np.int64), [""] * number, ["lost"] * number)
    busy_s, began_s = time.process_time(), time.perf_counter()
    asyncio.run(_send_all(f"{url}/v1/completions", model, due_s, prompts, answer, found))
    share = (time.process_time() - busy_s) / (time.perf_counter() - began_s)
    late_s, _, first_s, last_s = found.times
    return Replayed(due_s, late_s, first_s, last_s, prompt, found.answer, tuple(found.group), tuple(found.error), share)


@dataclass
class _Found:
    times: Floats
    answer: Ints
    group: list[str]
    error: list[str]


async def _send_all(url: str, model: str, due_s: Floats, prompts: list[list[int]], answer: Ints, found: _Found) -> None:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        began_s = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as tasks:
            for place, due in enumerate(due_s):
                await asyncio.sleep(began_s + due - time.perf_counter())
                body = {
                    "model": model, "prompt": prompts[place], "max_tokens": int(answer[place]), "stream": True,
                    "ignore_eos": True, "temperature": 1.0, "stream_options": {"include_usage": True},
                }  # fmt: skip
                found.times[0, place] = time.perf_counter() - began_s - due
                tasks.create_task(_send(session, url, body, place, began_s, found))


async def _send(
    session: aiohttp.ClientSession, url: str, body: dict[str, object], place: int, began_s: float, found: _Found
) -> None:
    try:
        async with session.post(url, json=body) as reply:
            found.group[place] = reply.headers.get("x-cuvee-group", "")
            if reply.status != 200:
                found.error[place] = f"HTTP {reply.status}: {(await reply.text())[:200]}"
                return
            done = False
            async for line in reply.content:
                if not line.startswith(b"data:"):
                    continue
                text = line[5:].strip()
                if text == b"[DONE]":
                    done = True
                    continue
                event = json.loads(text)
                if event.get("usage"):
                    found.answer[place] = event["usage"]["completion_tokens"]
                if event.get("choices"):
                    now_s = time.perf_counter() - began_s
                    if np.isnan(found.times[2, place]):
                        found.times[2, place] = now_s
                    found.times[3, place] = now_s
            found.error[place] = "" if done else "the answer broke off"
    except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
        found.error[place] = f"{type(error).__name__}: {error}"[:200]
    finally:
        if found.error[place]:
            found.times[2:, place] = np.nan
