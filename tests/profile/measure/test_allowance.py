"""The one place that every request passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.profile.measure.allowance import LOT, Allowance, Caps, Sent, SpentError


def allowance(caps, sent=None, kept=None, clock=None):
    clock = clock or [0.0]
    return Allowance(caps, sent or Sent(), now=lambda: clock[0], keep=(kept if kept is not None else []).append)


@given(
    caps=st.builds(
        Caps, st.none() | st.integers(1, 300), st.none() | st.integers(1, 5000), st.none() | st.floats(1, 100)
    ),
    asked=st.lists(st.tuples(st.integers(1, 100), st.floats(0, 5)), max_size=200),
    kill=st.integers(0, 200),
)
def test_caps_hold_even_where_a_run_is_killed(caps, asked, kill):
    """Whatever is asked, what leaves stays within every cap; a run killed at any moment is not counted too low."""
    kept, clock, requests, tokens = list[Sent](), [0.0], 0, 0
    counter = allowance(caps, kept=kept, clock=clock)
    for number, (size, wait_s) in enumerate(asked):
        if number == kill:
            last = kept[-1] if kept else Sent()
            assert last.requests >= requests
            assert last.tokens >= tokens
            counter = allowance(caps, last, kept, clock=clock)
        clock[0] += wait_s
        try:
            counter.take(size)
        except SpentError:
            continue
        requests, tokens = requests + 1, tokens + size
        assert counter.remaining_s > 0
    assert requests <= (caps.max_requests or requests)
    assert tokens <= (caps.max_tokens or tokens)
    assert counter.sent.requests >= requests


def test_numbers_go_on_over_runs():
    """Numbers are never used twice, so that no prompt is: the next run begins after what the last noted."""
    kept = list[Sent]()
    first = allowance(Caps(), kept=kept)
    assert [first.take(10) for _ in range(3)] == [0, 1, 2]
    killed = allowance(Caps(), kept[-1])
    assert killed.take(10) == LOT
    ended = allowance(Caps(), first.sent)
    assert ended.take(10) == 3


def test_notes_are_few():
    """A thousand requests are noted in lots, not one by one."""
    kept = list[Sent]()
    counter = allowance(Caps(), kept=kept)
    for _ in range(1000):
        counter.take(10)
    assert len(kept) <= 1000 / LOT + 1


def test_notes_are_fewer_the_more_is_sent():
    """A hundred thousand requests are noted some thirty times, each at most a quarter ahead. Tempting: every 64."""
    kept = list[Sent]()
    counter = allowance(Caps(), kept=kept)
    for number in range(100_000):
        counter.take(10)
        assert kept[-1].requests <= max(number + LOT, 1.25 * number + 1)
    assert len(kept) < 40


def test_longer_prompts_are_settled():
    """Tokens by which a text came out longer than meant count against the cap; shorter ones give nothing back."""
    counter = allowance(Caps(max_tokens=100))
    counter.take(50)
    counter.settle(30)
    counter.settle(-40)
    with pytest.raises(SpentError, match="80 of 100"):
        counter.take(21)
    counter.take(20)


def test_time_is_a_cap_too():
    """The time of earlier runs counts."""
    clock = [5.0]
    counter = allowance(Caps(max_time_s=10), Sent(seconds=7), clock=clock)
    clock[0] = 7.9
    counter.take(1)
    clock[0] = 8.0
    with pytest.raises(SpentError, match="--max-seconds"):
        counter.take(1)


def test_caps_that_are_none():
    """A cap of 0 is refused: it would measure nothing."""
    with pytest.raises(InputError, match="max_requests = 0"):
        Caps(max_requests=0)


def test_a_killed_run_is_counted_as_at_most():
    """What a killed run noted ahead is no count of what it sent, in any later run; one that ended is counted."""
    kept = list[Sent]()
    first = allowance(Caps(max_requests=3), kept=kept)
    first.take(10)
    assert (kept[-1].requests, kept[-1].is_at_most, first.sent.is_at_most) == (LOT, True, False)
    after_kill = allowance(Caps(max_requests=LOT), kept[-1])
    assert after_kill.sent.is_at_most
    with pytest.raises(SpentError, match="64 requests may have been sent: a run was killed"):
        after_kill.take(10)
    after_end = allowance(Caps(max_requests=1), first.sent)
    with pytest.raises(SpentError, match=r"^1 request are sent \(--max-requests\)$"):
        after_end.take(10)
