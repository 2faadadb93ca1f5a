"""Servers as they are: what they do not take, do not say and do wrong, and what is made of it."""

import asyncio

import pytest

from cuvee.errors import InputError
from cuvee.profile.measure.allowance import Allowance, Caps, Sent
from cuvee.profile.measure.client import open_client
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.paced import Arrivals
from cuvee.profile.measure.point import OVERRUN
from cuvee.profile.measure.prompts import Prompts
from cuvee.profile.measure.record import load_record
from cuvee.profile.measure.sending import Sender
from cuvee.profile.measure.steps import saturation
from cuvee.profile.measure.watch import Watch
from cuvee.workload.records import WorkloadType
from tests.profile.measure.measuring import SHORT, SLOW, run
from tests.profile.measure.server import Manners, Server
from tests.profile.measure.virtual_time import run_virtually

TRUTH_REQ_PER_S = SLOW.saturated_req_per_s(SHORT.input_tokens, SHORT.output_tokens)


def rate(done):
    found = saturation(done.points, done.measured.record.options)
    assert found
    return found.point.rate_req_per_s


@pytest.mark.parametrize(
    ("manners", "options"),
    [
        (Manners(takes_token_ids=False), {}),
        (Manners(takes_token_ids=False, tokens_per_word=1.6, added_tokens=5), {}),
        (Manners(tokens_per_word=1.3, added_tokens=9), {"api": "chat"}),
        (Manners(added_tokens=1), {}),
        (Manners(takes_extra_fields=False), {}),
        (Manners(states_usage=False), {}),
        (Manners(tokens_per_word=0.7), {"prompts": "text"}),
    ],
)
def test_rate_and_lengths_whatever_is_taken(manners, options):
    """Ids or text, completions or chat, with usage or without: the same rate, at the lengths asked for."""
    done = run(manners=manners, **options)
    assert rate(done) == pytest.approx(TRUTH_REQ_PER_S, rel=0.04)
    for point in done.points:
        assert point.input_tokens == pytest.approx(30, rel=0.03)
        assert point.output_tokens == 6
        assert point.failed == 0


def test_what_the_server_says_of_itself():
    """Engine, version, settings and the model's name are in the record."""
    facts = run(stop_after=1).measured.record.facts
    assert (facts.engine, facts.version, facts.served_name, facts.max_context) == ("vllm", "0.11.2", "served", 32768)
    assert facts.settings["block_size"] == "16"
    assert "num_gpu_blocks" in facts.settings
    assert "num_gpu_blocks" not in facts.steady_settings


@pytest.mark.parametrize(
    ("manners", "expected"),
    [
        (Manners(stops_after=3), "ended after 3 of 8 tokens"),
        (Manners(takes_token_ids=False, states_usage=False), "states no usage"),
        (Manners(stream="plain"), "not streamed"),
        (Manners(stream="broken"), "malformed stream"),
        (Manners(stream="cut"), "connection lost"),
        (Manners(stated_tokens=10**400), "malformed usage"),
        (Manners(stream="endless"), "endless answer"),
        (Manners(stream="error"), "error in the stream): out of memory"),
        (Manners(fail_every=1), "HTTP 429): slow down"),
        (Manners(models=("one", "two")), "offers 'one', 'two'"),
        (Manners(models=()), "lists no model"),
        (Manners(key="secret-key"), "401"),
    ],
)
def test_what_cannot_be_measured(tmp_path, manners, expected):
    """Is told after a handful of requests, in the server's words where it has some."""
    with pytest.raises(InputError) as refused:
        run(manners=manners, path=tmp_path / "record.json")
    assert expected in refused.value.arrived
    assert refused.value.remedy
    if (tmp_path / "record.json").is_file():
        assert load_record(tmp_path / "record.json").sent.requests <= 12


def test_no_server():
    """An address where nobody answers, in the system's words and not in those of a library."""
    with pytest.raises(InputError, match=r"no server at http://127\.0\.0\.1:9 \(connection refused\)\n"):
        run(url="http://127.0.0.1:9")


def test_the_first_request_fails():
    """One request that failed is told as that. Tempting: "1 of 1 requests failed", of which at most 10 % may."""
    with pytest.raises(InputError) as refused:
        run(manners=Manners(stream="cut"))
    assert refused.value.arrived.startswith("the first request failed (connection lost)")
    assert "1 of 1" not in str(refused.value)
    assert "at most" not in str(refused.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://host/?x=1", "http://host:99999"])
def test_no_address(url):
    """Something that is no address."""
    with pytest.raises(InputError, match="address"):
        run(url=url)


def test_a_password_stays_out_of_messages():
    """An address with a password in it is refused without repeating it; a key is taken out of the server's words."""
    with pytest.raises(InputError) as refused:
        run(url="http://me:hunter2@host:8000")
    assert "hunter2" not in str(refused.value)


def test_a_key_is_sent_and_never_told(tmp_path):
    """The right key opens; the record does not hold it; a server that repeats it is not repeated."""
    path = tmp_path / "record.json"
    done = run(manners=Manners(key="secret-key"), asked={"key": "secret-key"}, path=path, stop_after=1)
    assert done.points
    assert "secret-key" not in path.read_text()
    with pytest.raises(InputError) as refused:
        run(manners=Manners(key="other", models=("served",)), asked={"key": "other-but-wrong"})
    assert "other-but-wrong" not in str(refused.value)


@pytest.mark.parametrize(("above", "doing"), [(0, "probing"), (40, "1/1 long")])
def test_the_time_ends_the_first_requests_too(above, doing):
    """Neither the probe nor the first request of a type waits longer than may be sent; --timeout would be 300 s."""
    done = run(
        manners=Manners(silent_above_tokens=above), types=(WorkloadType("long", 100, 6),), caps=Caps(None, None, 20)
    )
    assert not done.points
    assert done.measured.ended == "20 s are over (--max-seconds)"
    assert done.measured.notes == (f"{doing}: no whole answer when the time was over",)
    assert 20 <= done.measured.record.sent.seconds < 21


def test_lengths_that_cannot_be_are_told():
    """A server that states lengths below 0: measured by what was asked for, with a note."""
    done = run(manners=Manners(stated_tokens=-5))
    assert rate(done) == pytest.approx(TRUTH_REQ_PER_S, rel=0.04)
    assert "completion_tokens = -5, which cannot be: lengths are those asked for" in done.measured.notes[0]


def test_few_failures_are_counted():
    """One request in thirty fails: measured, and told."""
    done = run(manners=Manners(fail_every=30, fail_status=503))
    assert rate(done) == pytest.approx(TRUTH_REQ_PER_S, rel=0.06)
    assert sum(point.failed for point in done.points) > 0
    assert {kind for point in done.points for kind in point.failures} == {"HTTP 503"}


def test_an_engine_that_dies_is_told(tmp_path):
    """What was measured before stands in the record, and the same command goes on.

    Tempting: "all of the first 10 requests failed", after some forty answers.
    """
    path = tmp_path / "record.json"
    done = run(manners=Manners(dies_after=45), path=path)
    failure = done.measured.failure
    assert failure
    assert "HTTP 503" in failure.arrived
    assert "first" not in failure.arrived
    assert "goes on where it ended" in failure.remedy
    assert load_record(path).points == done.points == tuple(done.reported)
    assert done.points


def test_types_that_do_not_fit_are_left_out():
    """By the length the server states before anything is sent; by its refusal after one request."""
    long = WorkloadType("long", 40_000, 10)
    done = run(types=(long, SHORT))
    assert {point.type_name for point in done.points} == {"short"}
    assert "40,010 tokens, and the engine takes 32,768" in done.measured.notes[0]
    refusing = run(manners=Manners(refuse_above_tokens=500), types=(WorkloadType("longer", 600, 10), SHORT))
    assert "too long" in refusing.measured.notes[0]
    assert rate(refusing) == pytest.approx(TRUTH_REQ_PER_S, rel=0.04)


def test_a_prefix_cache_is_seen():
    """What the server says to have had in its cache is a share of the point."""
    assert run(manners=Manners(cached_share=0.5), stop_after=1).points[0].cached_share == pytest.approx(0.5, abs=0.01)


def test_too_many_under_way_at_once_is_no_point():
    """Poisson arrivals at 85 % have five under way within seconds, and four may be: told with the cap to raise.

    Tempting: a point of the second before, doubtful by its length.
    """
    done = run(max_concurrency=4, loads=(0.85,))
    assert [point.load for point in done.points] == [None, None]
    assert "no steady window in " in done.measured.notes[0]
    assert "more than 4 were under way (--max-concurrency)" in done.measured.notes[0]


def test_a_server_that_cannot_keep_up_is_not_flooded():
    """Arrivals at six times what it serves end where as many are under way as may be."""
    options = MeasureOptions(max_concurrency=8)

    async def work():
        async with Server(SLOW).serving() as server, open_client(server.url, key=None, timeout_s=60.0) as client:
            loop = asyncio.get_running_loop()
            allowance = Allowance(Caps(), Sent(), now=loop.time, keep=lambda _: None)
            sender = Sender(client, allowance, Prompts("tokens", 1), served_name="served", options=options)
            arrivals = Arrivals(sender, SHORT, options, rate_req_per_s=6 * TRUTH_REQ_PER_S, warm_up_s=0.0)
            window = await arrivals.measure(Watch(loop.time() + 1000, asyncio.Event()))
            return window, server, loop.time()

    window, server, _ = run_virtually(work)
    assert window is None or window.ended == OVERRUN
    assert server.requests == server.most_under_way == 8
