"""What a paced load counts, beside an endpoint whose answers are known."""

import asyncio

from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.paced import Arrivals
from cuvee.profile.measure.watch import Watch
from tests.profile.measure.measuring import SHORT
from tests.profile.measure.virtual_time import run_virtually

LATENCY_S = 0.1


class EverySecondFails:
    """Stands for the sender: each request takes `LATENCY_S`, and every second one fails."""

    def __init__(self) -> None:
        self.sent: list[Answer] = []

    async def send(self, input_tokens, output_tokens, *, begun):
        loop = asyncio.get_running_loop()
        answer = Answer(len(self.sent), input_tokens, output_tokens, loop.time())
        self.sent.append(answer)
        begun(answer)
        await asyncio.sleep(LATENCY_S)
        answer.token_s.append(loop.time())
        answer.ended_s, answer.failure = loop.time(), "HTTP 503" if answer.number % 2 else ""
        return answer


def test_failures_are_no_answers_of_the_warm_up():
    """Of requests of which half fail, answers in the window and before it are the half that was answered."""
    sender, options = EverySecondFails(), MeasureOptions(most_failed=0.9)

    async def work():
        arrivals = Arrivals(sender, SHORT, options, rate_req_per_s=10.0, warm_up_s=5.0)  # type: ignore[arg-type]
        return await arrivals.measure(Watch(asyncio.get_running_loop().time() + 60.0, asyncio.Event()))

    window = run_virtually(work)
    answered = [each for each in sender.sent if each.is_answered]
    before = [each for each in answered if each.started_s < window.answers[0].started_s]
    assert window.warm_up_answers == len(before) > 10
    assert sum(window.failures.values()) > 50
