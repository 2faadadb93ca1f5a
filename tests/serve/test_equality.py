"""The gateway decides as the simulator does, request by request on one trace."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from cuvee.routing.online import AnswerLengths, TypeOf
from cuvee.serve.options import ServeOptions
from cuvee.serve.promises import limit_s
from cuvee.serve.replicas_file import Deployment, ReplicaAddress, ServedModel
from cuvee.serve.serving import serving_of
from cuvee.simulate.simulation import simulate
from cuvee.workload.records import Trace
from tests.serve.world import MODEL, two_types

BOUNDLESS = ServeOptions(fullness=1e9)
"""The simulator has queues of its own: there, nobody waits before a replica."""


def serving(plan=None):
    """The plan with as many replicas as it rents; none of them is ever called."""
    plan = plan or two_types()
    model = plan.inputs.problem.models[0].model.name
    ids = [group.id for group in plan.groups for _ in range(group.copies)]
    addresses = tuple(ReplicaAddress(f"http://127.0.0.1:{at + 1}", group, f"e{at}") for at, group in enumerate(ids))
    return serving_of(plan, Deployment(addresses, (ServedModel(model, (model,)),)), BOUNDLESS)


@pytest.mark.parametrize("load", [0.5, 0.95, 1.3])
@pytest.mark.parametrize("policy", ["plan-live", "plan-prefix"])
def test_the_gateway_routes_as_the_simulator(policy, load):
    """Of 3000 requests each goes to the very replica that the simulator sends it to, below and above saturation."""
    played = simulate(two_types(), num_requests=3000, load=load, policy=policy, foresight="mean", seed=3)
    assert_equal_decisions(played, serving().router)


@pytest.mark.parametrize("policy", ["plan-live", "plan-prefix"])
def test_the_gateway_sends_what_not_all_hold_as_the_simulator(policy):
    """Prompts of 48,000 tokens exceed the cache of an RTX 4090, not of an A40: all go to the latter, whatever the plan
    gives the former of their type.
    """
    plan = two_types("llama-3.1-8b")
    found = serving(plan)
    rng, number = np.random.default_rng(1), 1500
    prompt = rng.choice([48_000, 1008, 304], number, p=[0.03, 0.57, 0.4])
    trace = Trace("t", prompt, np.where(prompt == 304, 400, 48), np.cumsum(rng.exponential(0.3, number)))
    played = simulate(plan, trace, policy=policy, foresight="mean", seed=3)
    assert_equal_decisions(played, found.router)
    small = [group for group, room in enumerate(found.router.room) if room < 48_048]
    group_of = np.array(found.router.group_of)[played.requests.replica]
    assert 0 < len(small) < len(found.groups)
    assert not np.isin(group_of[prompt == 48_000], small).any()
    assert np.isin(group_of, small).any()
    rows = played.requests.row[prompt == 48_000]
    assert any(found.router.shares[row][group] > 0 for row in rows for group in small)


def assert_equal_decisions(played, router):
    """Each request goes to the very replica that the simulator sends it to; its answer's length is told."""
    requests = played.requests
    ends = np.lexsort((np.arange(len(requests)), requests.finish_s))
    taken: dict[int, tuple[int, float]] = {}
    ended = 0
    for place in range(len(requests)):
        while ended < len(ends) and requests.finish_s[ends[ended]] < requests.arrival_s[place]:
            router.release(*taken.pop(int(ends[ended])))
            ended += 1
        row, tokens = int(requests.row[place]), int(requests.prompt[place] + requests.answer[place])
        chosen = router.choose(row, int(requests.prefix[place]), tokens)
        assert chosen == requests.replica[place], f"request {place}"
        taken[place] = (chosen, router.take(row, chosen, 1))
    assert len(set(requests.replica)) > 1


def test_the_gateway_recognises_as_the_simulator():
    """Each request of a trace is taken for the type that the simulator takes it for, by prompt and typical answer."""
    played = simulate(two_types(), num_requests=2000, load=0.5, foresight="mean", seed=5)
    types: TypeOf = serving().models[MODEL].types
    for request in played.requests:
        prompt = int(request.prompt)
        assert types.row(prompt, types.typical_answer(prompt)) == request.row


def test_lengths_that_are_learnt_replace_those_of_the_types():
    """The first answer to prompts of a length is foretold by its type, the next by what came, a client's by its own."""
    types, answers = serving().models[MODEL].types, AnswerLengths()
    typical = answers.expected(types, 1000, "ann")
    assert typical == types.typical_answer(1000) == 50
    answers.add(1000, 200, "bob")
    assert answers.expected(types, 1000, "ann") == 200
    assert answers.expected(types, 300, "ann") == 400
    for _ in range(8):
        answers.add(300, 7, "ann")
    assert answers.expected(types, 1000, "ann") == 7
    assert answers.expected(types, 1000, "bob") == 200


def test_shares_are_settled_anew_for_what_is_left():
    """Without a group's replicas the shares are those that sustain most; with all of them, the plan's own."""
    found = serving()
    assert found.shares_for(found.num_up()) is found.planned
    for group in range(len(found.groups)):
        left = [0 if group == each else copies for each, copies in enumerate(found.copies)]
        if any(left):
            shares = np.array(found.shares_for(left))
            assert shares[:, group] == pytest.approx(0)
            assert shares.sum(axis=1) == pytest.approx(1)


def test_a_dead_group_gives_its_share_to_those_that_can():
    """Requests of a type whose only group is down go to any group that can serve them, and to none where all are."""

    async def play():
        found = serving()
        router = found.router
        router.shares = [[1.0] + [0.0] * (len(found.groups) - 1) for _ in router.shares]
        down = range(router.first[0], router.first[1])
        for replica in down:
            router.set_up(replica, False)
        assert router.choose(0) not in {*down, -1}
        for replica in range(len(router.group_of)):
            router.set_up(replica, False)
        assert router.choose(0) == -1
        assert not router.is_served(0)

    asyncio.run(play())


def test_what_one_group_never_holds_waits_for_another_or_is_refused_by_its_engine():
    """While the groups that hold it are full it waits, and a retry goes nowhere else; where they are down, or none
    holds it, it goes where any request goes.
    """
    router = serving(two_types("llama-3.1-8b")).router
    smallest, largest = min(router.room), max(router.room)
    able = [replica for replica, group in enumerate(router.group_of) if router.room[group] == largest]
    assert 0 < len(able) < len(router.group_of)
    for tokens in (int(smallest) + 1, int(largest)):
        assert router.choose(0, tokens=tokens) in able
        assert router.choose_other(0, able, tokens) == -1
    router.fullness = 0.0
    taken = [(replica, router.take(0, replica, 1)) for replica in able]
    assert router.choose(0, tokens=int(largest)) == -1
    assert router.choose(0) not in {-1, *able}
    assert router.choose(0, tokens=int(largest) + 1) not in {-1, *able}, "none holds it"
    for each in taken:
        router.release(*each)
    for replica in able:
        router.set_up(replica, False)
    assert router.choose(0, tokens=int(largest)) not in {-1, *able}


def test_a_full_replica_gets_no_more():
    """A replica that is said to take two requests gets two; a third has to wait until one is over."""
    plan = two_types()
    plan = replace(plan, groups=(replace(plan.groups[0], copies=1),), assignment=tuple(
        replace(row, shares={plan.groups[0].id: 1.0}) for row in plan.assignment
    ))  # fmt: skip
    address = ReplicaAddress("http://127.0.0.1:1", plan.groups[0].id, "e", max_concurrency=2)
    router = serving_of(plan, Deployment((address,), (ServedModel(MODEL, (MODEL,)),)), BOUNDLESS).router
    taken = [router.take(0, router.choose(0), 1) for _ in range(2)]
    assert router.choose(0) == -1
    router.release(0, taken[0])
    assert router.choose(0) == 0


def test_latencies_grow_with_occupancy_and_limits_are_kept_where_they_can():
    """A limit that only one group keeps sends a request there, and one that none keeps changes nothing."""
    found = serving()
    promises, router = found.promises, found.router
    for row in range(len(found.row_names)):
        for group in range(len(found.groups)):
            times = promises.ttft_s[row][group]
            assert times == sorted(times)
            assert 0 < times[0] < 60
            assert 0 < promises.tpot_s[row][group][0] < 5
    fastest = min(range(len(found.groups)), key=lambda group: promises.tpot_s[0][group][0])
    slowest = max(range(len(found.groups)), key=lambda group: promises.tpot_s[0][group][0])
    limit = (promises.tpot_s[0][fastest][0] + promises.tpot_s[0][slowest][0]) / 2
    assert promises.tpot_s[0][fastest][0] < limit < promises.tpot_s[0][slowest][0]

    def keeps(group, occupancy):
        return promises.holds(0, group, occupancy, float("inf"), limit)

    for _ in range(20):
        chosen = router.choose(0)
        assert router.group_of[router.choose_keeping(0, chosen, keeps)] == fastest
        assert router.choose_keeping(0, chosen, lambda *_: False) == chosen
    assert promises.holds(0, slowest, 0.0, float("inf"), float("inf"))


def test_limits_of_clients_are_read():
    """A limit is a number of milliseconds above 0; nothing is no limit."""
    assert limit_s(b"250") == 0.25
    assert limit_s(b"") == float("inf")
    for wrong in (b"-1", b"0", b"soon", b"nan"):
        with pytest.raises(ValueError, match=r"could not|b'"):
            limit_s(wrong)
