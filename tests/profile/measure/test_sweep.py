"""The sweep against servers whose law is known: what it finds, what it sends, how it goes on."""

import asyncio
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from cuvee.errors import InputError
from cuvee.profile.measure.allowance import LOT, Caps
from cuvee.profile.measure.point import CUT_SHORT
from cuvee.profile.measure.record import load_record
from cuvee.profile.measure.steps import saturation
from cuvee.profile.measure.watch import TICK_S, start
from cuvee.workload.records import LengthBox, WorkloadType
from tests.profile.measure.measuring import SHORT, SLOW, run
from tests.profile.measure.server import Law, Manners, free_port


def saturated(done, workload=SHORT):
    found = saturation(done.measured.record.points_of(workload), done.measured.record.options)
    assert found
    return found


@pytest.fixture
def port():
    """A port for servers that come one after the other."""
    return free_port()


def test_the_saturated_rate_is_the_law():
    """Two types, each within its own interval of the truth; 3 % at most."""
    longer = WorkloadType("longer", 200, 12.5)
    done = run(types=(SHORT, longer))
    for workload in (SHORT, longer):
        found = saturated(done, workload)
        truth = SLOW.saturated_req_per_s(workload.input_tokens, workload.output_tokens)
        assert found.is_reached
        assert found.point.rate_req_per_s == pytest.approx(truth, rel=0.03)
        assert abs(found.point.rate_req_per_s - truth) <= found.point.interval.half_width
        assert found.point.interval.relative <= 0.05
        assert found.point.input_tokens == pytest.approx(workload.input_tokens, rel=0.02)
        assert found.point.output_tokens == pytest.approx(workload.output_tokens, rel=0.05)
    assert not done.measured.ended
    assert done.server.most_under_way <= 16


def test_below_saturation_the_rate_is_the_law_too():
    """Two under way: each step serves both, so rate and time of a token follow from the step."""
    # By whole answers instead of tokens the window would hold 2, 4, 6... of them at a time.
    first = next(point for point in run().points if point.concurrency == 2)
    step_s = SLOW.step_s + 2 * SLOW.sequence_s
    joining_s = SLOW.prompt_token_s * 30
    assert first.rate_req_per_s == pytest.approx(2 / (6 * step_s + 2 * joining_s), rel=0.03)
    assert first.tpot
    assert first.tpot.mean_s == pytest.approx(step_s + joining_s / 6, rel=0.05)


def test_latency_is_that_of_the_queue():
    """A server of one request at a time and 0.5 s each: mean time 0.5 + load * 0.5 / (2 (1 - load)) s."""
    law = Law(slots=1, step_s=0.5, sequence_s=0.0)
    single = WorkloadType("single", 5, 1)
    done = run(law, types=(single,), first_concurrency=1, loads=(0.3, 0.6), seed=3, latency_within=0.12)
    assert saturated(done, single).point.rate_req_per_s == pytest.approx(2, rel=0.06)
    paced = {point.load: point for point in done.points if not point.is_held}
    for share in (0.3, 0.6):
        point = paced[share]
        load = (point.request_rate_req_per_s or 0) * 0.5
        truth_s = 0.5 + load * 0.5 / (2 * (1 - load))
        assert point.end_to_end
        assert point.end_to_end.mean_s == pytest.approx(truth_s, rel=0.10)
        assert point.completed >= 100
        assert point.end_to_end.percentiles_s[99] > point.end_to_end.percentiles_s[50] >= 0.499
        assert point.tpot is None
        assert load == pytest.approx(share, rel=0.06)
        assert point.rate_req_per_s == pytest.approx(2 * load, rel=0.25)


@pytest.mark.parametrize(
    "caps", [Caps(max_requests=1), Caps(max_requests=37), Caps(max_tokens=1000), Caps(max_requests=45, max_tokens=2500)]
)
def test_caps_are_never_passed(caps):
    """The server counts: neither requests nor tokens go beyond what was told, and the record has their number."""
    done = run(caps=caps)
    assert done.server.requests <= (caps.max_requests or math.inf)
    assert done.server.tokens <= (caps.max_tokens or math.inf)
    assert "--max-" in done.measured.ended
    assert done.measured.record.sent.requests == done.server.requests
    assert done.measured.record.sent.tokens == done.server.tokens


def test_time_is_kept():
    """Nothing is sent after the last second, and what was measured by then stands."""
    done = run(caps=Caps(max_time_s=60))
    assert 30 < done.measured.record.sent.seconds <= 60 + TICK_S
    assert done.points


def test_going_on_after_an_end(tmp_path, port):
    """Ctrl-C after the first point; the same again measures the rest, and sends no prompt twice."""
    path = tmp_path / "record.json"
    first = run(path=path, port=port, stop_after=1)
    assert first.measured.interrupted
    assert len(first.points) == 1
    kept = load_record(path)
    assert kept.points == first.points
    assert first.server.requests <= kept.sent.requests <= first.server.requests + 2
    second = run(path=path, port=port)
    assert second.points[0] == first.points[0]
    assert [point.concurrency for point in second.reported] == [4, 8]
    assert second.measured.record.sent.requests >= first.server.requests + second.server.requests
    prompts = [tuple(body["prompt"]) for each in (first, second) for body in each.server.bodies]
    assert len(set(prompts)) == len(prompts)
    third = run(path=path, port=port)
    assert (third.server.requests, third.points) == (0, second.points)


def test_caps_hold_over_runs(tmp_path, port):
    """60 requests are 60 over all runs; with 400 more what was cut short is measured again, and finished."""
    path = tmp_path / "record.json"
    first = run(path=path, port=port, caps=Caps(max_requests=60))
    assert first.server.requests == 60
    cut = first.points[-1]
    assert cut.ended == CUT_SHORT
    again = run(path=path, port=port, caps=Caps(max_requests=60))
    assert again.server.requests == 0
    assert again.points == first.points
    more = run(path=path, port=port, caps=Caps(max_requests=460))
    assert 0 < more.server.requests <= 400
    assert not [point for point in more.points if point.ended == CUT_SHORT]
    assert len({point.key for point in more.points}) == len(more.points)
    assert saturated(more).is_reached


def test_a_kill_is_counted(tmp_path, monkeypatch):
    """At every moment the file counts at least what was sent: a run that is killed sends no more in the next."""
    path, told = tmp_path / "record.json", list[int]()
    monkeypatch.setattr("cuvee.profile.measure.sending.Sender.body", _noting(path, told))
    done = run(path=path)
    assert len(told) == done.server.requests > 64
    assert all(noted > number for number, noted in enumerate(told))


def _noting(path, told):
    from cuvee.profile.measure.sending import Sender

    body = Sender.body

    def noting(self, *arguments):
        told.append(load_record(path).sent.requests)
        return body(self, *arguments)

    return noting


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"manners": Manners(version="0.12.0")}, "version = '0.11.2', and now it is '0.12.0'"),
        ({"manners": Manners(models=("other",))}, "served_name"),
        ({"within": 0.02}, "within = 0.05"),
        ({"types": (replace(SHORT, output_tokens=7),)}, "short = "),
        ({"api": "chat"}, "api"),
    ],
)
def test_nothing_is_mixed(tmp_path, port, change, name):
    """Another engine, model, precision of the figures or kind of requests is refused before anything is sent."""
    path = tmp_path / "record.json"
    run(path=path, port=port, stop_after=1)
    before = path.read_text()
    with pytest.raises(InputError, match="was measured with") as refused:
        run(path=path, port=port, **change)
    assert name in refused.value.arrived
    assert path.read_text() == before
    begun = run(path=path, port=port, asked={"anew": True}, stop_after=1, **change)
    assert len(begun.points) == 1


def test_more_of_the_same_may_be_added(tmp_path, port):
    """Another type or another load beside those of before; caps and patience may change, too."""
    path = tmp_path / "record.json"
    first = run(path=path, port=port)
    other = WorkloadType("other", 60, 6)
    second = run(path=path, port=port, types=(other,), timeout_s=100.0)
    assert second.points[: len(first.points)] == first.points
    assert {point.type_name for point in second.reported} == {"other"}


def test_types_of_a_trace_have_open_boxes(tmp_path, port):
    """The largest type has no upper end; such a record is kept, and gone on with. JSON has no infinity."""
    path, open_box = tmp_path / "record.json", LengthBox(0.0, math.inf, 0.0, math.inf)
    first = run(path=path, port=port, types=(replace(SHORT, box=open_box),))
    assert run(path=path, port=port, types=(replace(SHORT, box=open_box),)).points == first.points


def test_a_record_that_is_none(tmp_path):
    """A file of another kind is told as such, and stays."""
    path = tmp_path / "record.json"
    for text in ("[]", "{", '{"schema_version": 1}', '{"schema_version": 9}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"record\.json"):
            run(path=path)
        assert path.read_text() == text


def test_arrivals_are_seeded():
    """The same seed brings the same arrivals in another run; another seed others."""

    def end_to_end(seed):
        law = Law(slots=1, step_s=0.5, sequence_s=0.0)
        done = run(
            law,
            types=(WorkloadType("single", 5, 1),),
            first_concurrency=1,
            loads=(0.6,),
            seed=seed,
            latency_within=0.5,
            least_requests=40,
        )
        paced = done.points[-1].end_to_end
        assert paced
        return paced.mean_s

    found = [end_to_end(seed) for seed in (1, 1, 2)]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert abs(found[0] / found[2] - 1) > 1e-3


def test_prompts_differ_from_run_to_run():
    """Two measurements of one engine share no prompt: a prefix cache that is still warm from the first helps none."""
    bodies = [run(stop_after=1).server.bodies for _ in range(2)]
    first, second = (({tuple(body["prompt"][:8]) for body in each}) for each in bodies)
    assert not first & second
    assert np.mean([len(body["prompt"]) for body in bodies[0][2:]]) == 30


def test_nothing_waits_for_the_disk_while_a_load_is_measured(tmp_path, monkeypatch):
    """The record is made durable after each load and at the end. Tempting: with every lot of requests, in the loop."""
    synced, really = list[int](), os.fsync

    def noted(descriptor: int) -> None:
        synced.append(descriptor)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    done = run(path=tmp_path / "record.json")
    first_answers = len(done.measured.record.tried)
    assert done.server.requests > 2 * LOT
    assert len(synced) == len(done.points) + first_answers + 1


def test_requests_that_are_done_are_let_go():
    """A task leaves the set it was begun in. Tempting: to keep one for each request until the load is measured."""

    async def begin_many() -> int:
        tasks, failed = set[asyncio.Task[None]](), list[BaseException]()
        for _ in range(50):
            start(asyncio.sleep(0), tasks, failed.append)
        assert len(tasks) == 50
        await asyncio.sleep(0.01)
        return len(tasks)

    assert asyncio.run(begin_many()) == 0
