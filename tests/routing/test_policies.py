"""Routing policies: deterministic splits, turns, loads and prefixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.routing import policies
from cuvee.routing.online import TypeOf
from cuvee.routing.recognition import Foresight, expected_answers, recognised
from cuvee.workload.records import Demand, LengthBox, WorkloadType

OPEN = [True] * 8


@given(shares=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), number=st.integers(1, 500))
def test_a_split_is_never_far_behind(shares, number):
    """After any number of requests no target is further from its share than one request for each target."""
    total = sum(shares)
    owed, counts = [0.0] * len(shares), [0] * len(shares)
    for _ in range(number):
        chosen = policies.most_overdue(owed, shares, OPEN)
        if total <= 0:
            assert chosen == policies.NONE
            return
        counts[chosen] += 1
    for share, count in zip(shares, counts, strict=True):
        assert abs(count - number * share / total) <= len(shares)
        assert share > 0 or count == 0


def test_a_split_is_exact_in_every_round():
    """1/2, 1/3, 1/6: any six requests in a row are split 3, 2, 1. Tempting: coin flips, off by 40 % of six."""
    owed = [0.0] * 3
    chosen = [policies.most_overdue(owed, [1 / 2, 1 / 3, 1 / 6], OPEN) for _ in range(60)]
    for start in range(0, 60, 6):
        assert np.bincount(chosen[start : start + 6], minlength=3).tolist() == [3, 2, 1]


def test_shares_of_closed_targets_go_to_the_open_ones_in_proportion():
    """1/2, 1/4, 1/4 without the first is 1/2, 1/2."""
    owed = [0.0] * 3
    chosen = [policies.most_overdue(owed, [0.5, 0.25, 0.25], [False, True, True]) for _ in range(10)]
    assert sorted(chosen) == [1] * 5 + [2] * 5


def test_a_full_target_passes_its_turn_and_makes_up_for_it():
    """Ten requests while the first is full go to the second; of the next, up to eight turns go to the first."""
    owed, shares = [0.0, 0.0], [0.5, 0.5]
    for _ in range(10):
        chosen = policies.most_overdue(owed, shares, OPEN)
        assert policies.least_overfull(owed, shares, OPEN, [2.0, 0.5], chosen) == 1
    later = [policies.most_overdue(owed, shares, OPEN) for _ in range(12)]
    assert later.count(0) >= 9


def test_a_full_target_keeps_its_turn_where_others_are_as_full():
    """Passing on a turn brings nothing where the other is within the margin, and nothing is passed on below full."""
    for load in ([2.0, 1.95], [0.99, 0.0]):
        owed = [0.0, 0.0]
        chosen = policies.most_overdue(owed, [0.5, 0.5], OPEN)
        assert policies.least_overfull(owed, [0.5, 0.5], OPEN, load, chosen) == chosen == 0


def test_turns_go_round_and_leave_out_what_is_closed():
    """From 2 to 5 without 3: 2, 4, 2, 4; whatever number had the turn before."""
    is_open = [True, True, True, False, True, True]
    turns, last = [], 99
    for _ in range(4):
        last = policies.in_turn(last, is_open, 2, 5)
        turns.append(last)
    assert turns == [2, 4, 2, 4]
    assert policies.in_turn(0, [False] * 3, 0, 3) == policies.NONE


def test_least_loaded_takes_the_first_of_equals():
    """Ties are decided by place, so that simulator and gateway decide alike."""
    assert policies.least_loaded([3, 1, 1, 0], [True, True, True, False], 0, 4) == 1
    assert policies.least_loaded([3], [False], 0, 1) == policies.NONE


def test_of_two():
    """The less loaded of two, the other where one is closed."""
    assert policies.of_two(0, 1, [2, 1], [True, True]) == 1
    assert policies.of_two(0, 1, [1, 1], [True, True]) == 0
    assert policies.of_two(0, 1, [0, 9], [False, True]) == 1
    assert policies.of_two(0, 1, [0, 9], [False, False]) == policies.NONE


def test_prefixes_stay_where_they_are():
    """Each prefix has one replica; one replica more moves only a part of them, one that is full none of the others."""
    idle = [0.0] * 6
    before = [policies.by_prefix(each, idle, [True] * 5 + [False], 0, 6) for each in range(600)]
    after = [policies.by_prefix(each, idle, [True] * 6, 0, 6) for each in range(600)]
    assert all(new in (old, 5) for old, new in zip(before, after, strict=True))
    assert np.bincount(after, minlength=6).min() > 50
    full = [0.0, 0.0, 1.5, 0.0, 0.0, 0.0]
    moved = [policies.by_prefix(each, full, [True] * 6, 0, 6) for each in range(600)]
    assert all(old in (new, 2) for old, new in zip(after, moved, strict=True))
    assert policies.by_prefix(-1, [3.0, 1.0], [True, True], 0, 2) == 1


def boxed_demand():
    """Short and long answers to short prompts; long prompts have short answers."""
    return Demand(
        (
            WorkloadType("short-short", 100.0, 50.0, LengthBox(1, 500, 1, 200)),
            WorkloadType("short-long", 100.0, 800.0, LengthBox(1, 500, 200, 1e9)),
            WorkloadType("long-short", 2000.0, 50.0, LengthBox(500, 1e9, 1, 1e9)),
        ),
        (30.0, 10.0, 60.0),
    )


def test_what_is_known_of_answers():
    """Known: the type itself. By the mean: what most requests with such prompts are. Online: what came before."""
    demand = boxed_demand()
    prompt, answer = np.array([100, 110, 120, 3000]), np.array([60, 900, 950, 40])
    assert recognised(demand, prompt, answer, Foresight.KNOWN, range(3)).tolist() == [0, 1, 1, 2]
    assert expected_answers(demand, prompt, answer, Foresight.TYPE_MEAN).tolist() == [238, 238, 238, 50]
    online = expected_answers(demand, prompt, answer, Foresight.ONLINE)
    assert online.tolist() == [238, 60, 480, 50]  # the first of a bucket has the mean; 480 = (60 + 900) / 2


@pytest.mark.parametrize("foresight", list(Foresight))
def test_an_expected_answer_has_a_token(foresight):
    """Whatever came before, a type can be told."""
    prompt = np.ones(50, np.int64)
    assert expected_answers(boxed_demand(), prompt, prompt, foresight).min() >= 1


KINDS = st.tuples(st.floats(1, 10_000), st.floats(1, 2_000), st.booleans())


@given(
    kinds=st.lists(KINDS, min_size=1, max_size=6, unique_by=lambda kind: kind[:2]),
    lengths=st.lists(st.tuples(st.integers(1, 20_000), st.integers(1, 4_000)), min_size=1, max_size=20),
)
def test_one_request_is_recognised_as_many_are(kinds, lengths):
    """The gateway's recognition of one request gives what the arrays of the simulator give."""
    types = tuple(
        WorkloadType(
            f"t{place}", prompt, answer, LengthBox(prompt / 2, prompt * 2, answer / 2, answer * 2) if boxed else None
        )
        for place, (prompt, answer, boxed) in enumerate(kinds)
    )
    demand = Demand(types, tuple(range(1, len(types) + 1)))
    places = list(range(10, 10 + len(types)))
    prompt, answer = (np.array(each) for each in zip(*lengths, strict=True))
    one = TypeOf(demand, places)
    known = recognised(demand, prompt, answer, Foresight.KNOWN, places)
    assert [one.row(*pair) for pair in lengths] == known.tolist()
    typical = expected_answers(demand, prompt, answer, Foresight.TYPE_MEAN)
    assert [one.typical_answer(int(each)) for each in prompt] == typical.tolist()
