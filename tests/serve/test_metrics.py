"""`/metrics`: valid, bounded, and right by hand; what engines say of themselves; several processes as one."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cuvee.metrics_text import read_samples
from cuvee.plan.outcome.fingerprint import fingerprint
from cuvee.serve.counters import BOUNDS_S, BOUNDS_TOKENS, Counters, Histogram
from cuvee.serve.engine_metrics import ask as ask_engine
from cuvee.serve.engine_metrics import engine_figures
from cuvee.serve.fetch import get
from cuvee.serve.journal import Journal, trace_line
from cuvee.serve.observing import Siblings, metrics_of, record_of
from cuvee.serve.reloading import put_in_place
from cuvee.serve.serving import serving_of
from tests.serve.world import (
    MODEL,
    QUICK,
    Client,
    Engine,
    ask,
    deployment_of,
    gateway,
    streamed,
    two_types,
    until,
    whole,
    with_copies,
)

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(r"^\| `((?:cuvee|llm)_\w+)` \|", PAGE, re.MULTILINE)
"""Metrics in the table of docs/gateway.md."""

CONVENTION = re.compile(r"(cuvee|llm)_[a-z_]+")


async def scrape(server, siblings=()):
    """Samples of a gateway by name and labels."""
    return parsed(await metrics_of(server.gateway, Siblings(siblings)))


def parsed(metrics):
    """Samples of a text by name and labels."""
    text = metrics.decode()
    return {(each.name, *sorted(each.labels.values())): each.value for each in read_samples(text)}


def named(samples, name):
    """Values of one metric, by its labels' values in order."""
    return {key[1:]: value for key, value in samples.items() if key[0] == name}


def test_what_is_counted_is_right_by_hand():
    """Seven requests: five good, one cut off by the replica, one of no model; tokens, times and reasons are theirs."""

    async def some_break(engine, asked, writer):
        record = asked.json
        if record["max_tokens"] == 9:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            await writer.drain()
            writer.close()
        elif record.get("stream"):
            await streamed(engine, asked, writer, gap_s=0.02)
        else:
            usage = {"prompt_tokens": 30, "completion_tokens": record["max_tokens"]}
            writer.write(whole(200, json.dumps({"usage": usage}).encode()))

    async def play():
        async with gateway([Engine(some_break)]) as server:
            for tokens in (4, 5, 6, 7):
                await ask(server, {"max_tokens": tokens})
            await ask(server, {"max_tokens": 3, "stream": True})
            with pytest.raises(asyncio.IncompleteReadError):
                await ask(server, {"max_tokens": 9})
            await ask(server, {"model": 'x"} 1\nevil 2'})
            await ask(server, path="/secret-path")
            samples = await scrape(server)
            labels = ("g1", MODEL, "wordy")
            assert sum(named(samples, "cuvee_sent_requests_total").values()) == 6
            tokens = named(samples, "cuvee_tokens_total")
            assert sum(value for key, value in tokens.items() if "answer" in key) == 4 + 5 + 6 + 7 + 3
            assert sum(named(samples, "cuvee_answer_length_tokens_sum").values()) == 25
            assert sum(named(samples, "cuvee_prompt_length_tokens_count").values()) == 5  # not of the one cut off
            assert sum(named(samples, "cuvee_time_to_first_token_seconds_count").values()) == 1  # streamed ones alone
            assert sum(named(samples, "cuvee_inter_token_latency_seconds_count").values()) >= 2
            per_token = sum(named(samples, "cuvee_time_per_output_token_seconds_sum").values())
            assert 0.015 < per_token < 1.0
            assert sum(named(samples, "cuvee_request_duration_seconds_count").values()) == 6
            unserved = named(samples, "cuvee_unserved_requests_total")
            assert unserved == {("", "", "model_not_found"): 1, ("", "", "not_found"): 1}
            assert labels[0] in {key[0] for key in named(samples, "cuvee_achieved_share")}

    asyncio.run(play())


def test_every_metric_is_valid_and_documented_by_its_name():
    """Prometheus' own parser reads all, and the page lists them; names carry unit or _total; buckets rise."""

    async def play():
        async with gateway([Engine(), Engine()], with_copies(two_types(), 1, 2)) as server:
            for number in range(6):
                await ask(server, {"max_tokens": 4 + number, "stream": number % 2 == 0})
            return (await metrics_of(server.gateway, Siblings())).decode()

    text = asyncio.run(play())
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)) > 30
    for family in families:
        assert CONVENTION.fullmatch(family.name)
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_tokens"))
            series: dict[str, list[float]] = {}
            for each in family.samples:
                if each.name.endswith("_bucket"):
                    rest = {name: value for name, value in each.labels.items() if name != "le"}
                    series.setdefault(str(rest), []).append(each.value)
            assert all(values == sorted(values) for values in series.values())
    assert {f"{each.name}_total" if each.type == "counter" else each.name for each in families} == set(DOCUMENTED)
    written = set(re.findall(r"^# TYPE (\w+) counter", text, re.MULTILINE))
    assert written
    assert all(name.endswith("_total") for name in written)


def test_no_request_adds_a_label():
    """Names of models, types, paths, methods and keys that clients make up add no series."""

    async def play():
        async with gateway([Engine()]) as server:
            await ask(server)
            for path in ("/v1/chat/completions", "/nope"):
                await ask(server, {"model": "made-up-0"}, path)
            first = set(await scrape(server))
            for number in range(20):
                await ask(server, {"model": f"made-up-{number}", "user": f"u{number}"})
                await ask(server, path=f"/nope/{number}", method=f"M{number}" if number % 2 else "POST")
                await ask(server, {"max_tokens": 16})
            client = await Client.to(server)
            client.writer.write(b"GARBAGE\r\n\r\n")
            await client.reply()
            more = {key for key in set(await scrape(server)) - first if key[0] != "cuvee_unserved_requests_total"}
            reasons = named(await scrape(server), "cuvee_unserved_requests_total")
            assert {key[-1] for key in reasons} <= {"", "model_not_found", "not_found", "malformed_request"}
            assert not [key for key in more if "made-up" in str(key) or "u1" in key]
            assert len(reasons) == 3

    asyncio.run(play())


def test_shares_planned_and_achieved_and_the_plan_that_is_served():
    """Half and half by the plan, half and half achieved; fingerprint, rates and money are the plan's."""

    async def play():
        plan = with_copies(two_types(), 1, 2)
        async with gateway([Engine(), Engine()], plan) as server:
            for _ in range(20):
                await ask(server)
            samples = await scrape(server)
            planned, achieved = named(samples, "cuvee_planned_share"), named(samples, "cuvee_achieved_share")
            assert set(achieved.values()) == {0.5}
            assert set(planned.values()) == {0.5}
            ((key, value),) = named(samples, "cuvee_plan_info").items()
            assert (fingerprint(plan) in key, value) == (True, 1.0)
            rates = named(samples, "cuvee_planned_requests_per_second")
            assert sum(rates.values()) == pytest.approx(plan.served_req_per_s)
            cost = named(samples, "llm_total_hourly_cost")
            assert sum(cost.values()) == pytest.approx(plan.cost_usd_per_hour)
            million = named(samples, "llm_cost_per_million_tokens")
            blended = next(value for key, value in million.items() if "multiplier" not in key)
            tokens = sum(named(samples, "cuvee_tokens_total").values())
            served_s = named(samples, "cuvee_plan_served_seconds")[()]
            assert blended == pytest.approx(plan.cost_usd_per_hour * served_s / 3600 / tokens * 1e6, rel=0.2)

    asyncio.run(play())


def test_another_plan_is_counted_anew_and_the_same_one_goes_on():
    """A reload with the same plan keeps what was counted; one with other shares starts at nothing, labels too."""

    async def play():
        plan = with_copies(two_types(), 1, 1)
        engine = Engine()
        async with gateway([engine], plan) as server:
            await ask(server)
            put_in_place(server.gateway, serving_of(plan, deployment_of([engine], plan), QUICK))
            assert sum(named(await scrape(server), "cuvee_sent_requests_total").values()) == 1
            other = with_copies(two_types(), 3, 1)
            put_in_place(server.gateway, serving_of(other, deployment_of([engine], other), QUICK))
            samples = await scrape(server)
            assert not named(samples, "cuvee_sent_requests_total")
            assert named(samples, "cuvee_reloads_total") == {(): 2}
            await ask(server)
            assert sum(named(await scrape(server), "cuvee_sent_requests_total").values()) == 1

    asyncio.run(play())


def test_several_prompts_count_by_their_mean_and_in_total(tmp_path):
    """Of three prompts of 10 tokens each, the length of a prompt is 10 everywhere, and the tokens are 30."""

    async def counted(engine, asked, writer):
        writer.write(whole(200, b'{"usage": {"prompt_tokens": 30, "completion_tokens": 24}}'))

    async def play():
        async with gateway([Engine(counted)]) as server:
            journal = Journal(tmp_path / "trace.csv", trace_line)
            server.keep(journal)
            await ask(server, {"prompt": ["one", "two", "three"], "max_tokens": 8})
            samples = await scrape(server)
            assert sum(named(samples, "cuvee_prompt_length_tokens_sum").values()) == 10
            tokens = {key[0]: value for key, value in named(samples, "cuvee_tokens_total").items() if value}
            assert sorted(tokens.values()) == [24, 30]
            (line,) = journal.held
            assert line.split(b",")[1:3] == [b"10", b"8"]

    asyncio.run(play())


def test_processes_are_added_up():
    """Two processes with a request each are two requests; one that serves another plan, or is silent, is left out."""

    async def play():
        engines, plan = [Engine(), Engine()], with_copies(two_types(), 1, 1)
        other = with_copies(two_types(), 2, 1)
        async with (
            gateway(engines[:1], plan) as one,
            gateway(engines[:1], plan) as two,
            gateway(engines[1:], other) as three,
        ):
            await ask(one)
            await ask(two, {"max_tokens": 30})
            await ask(two, {"model": "nope"})
            await ask(three)
            siblings = [await admin(two), await admin(three), ("127.0.0.1", 1)]
            samples = await scrape(one, siblings)
            assert sum(named(samples, "cuvee_sent_requests_total").values()) == 2
            assert sum(named(samples, "cuvee_answer_length_tokens_sum").values()) == 46
            assert named(samples, "cuvee_processes") == {(): 4}
            assert named(samples, "cuvee_processes_counted") == {(): 2}
            assert sum(named(samples, "cuvee_unserved_requests_total").values()) == 1
            assert sum(named(await scrape(one), "cuvee_sent_requests_total").values()) == 1

    asyncio.run(play())


async def admin(server):
    """The admin port of a gateway that is asked for nothing but its figures."""

    async def nobody():
        return []

    await server.start_admin("127.0.0.1", 0, nobody)
    return server.admin_address


def test_counters_do_not_go_back_where_a_process_is_silent_or_replaced():
    """What it told last goes on counting, beside what its successor counts; what runs there now is no longer known."""

    async def play():
        engines, plan = [Engine(), Engine()], with_copies(two_types(), 1, 1)
        async with gateway(engines[:1], plan) as one:
            siblings = Siblings()

            async def sent():
                samples = parsed(await metrics_of(one.gateway, siblings))
                (total,) = named(samples, "cuvee_sent_requests_total").values()
                now = (named(samples, name)[()] for name in ("cuvee_clients", "cuvee_processes_counted"))
                return total, *now

            await ask(one)
            async with gateway(engines[:1], plan) as two:
                siblings.addresses = [await admin(two)]
                client = await Client.to(two)
                for _ in range(3):
                    await client.ask()
                assert await sent() == (4, 1, 2)
                siblings.addresses = [("127.0.0.1", 1)]
                # leaving it out would say 1, which a rate takes for a restart with one new request
                assert await sent() == (4, 0, 1)
                siblings.addresses = [two.admin_address]
                assert await sent() == (4, 1, 2)
            async with gateway(engines[1:], plan) as successor:
                siblings.addresses = [await admin(successor)]
                assert await sent() == (4, 0, 2)
                await ask(successor)
                assert (await sent())[0] == 5

    asyncio.run(play())


def test_counters_survive_the_way_between_processes():
    """What is added from a record is what it was made of, every number of it."""
    first, second = Counters(), Counters()
    first.retries = 3
    first.turned_away("queue_full", "m", "w")
    mine = first.of("m", "w", "g")
    mine.sent, mine.requests[2] = 5, 4
    mine.ended(200, prompt_tokens=7, answer_tokens=8, e2e_s=0.3, queued_s=0.001)
    mine.answered(prompt_tokens=7, answer_tokens=8, streamed_s=0.7)
    for _ in range(2):
        second.add(json.loads(json.dumps(first.record())))
    twice = second.of("m", "w", "g")
    assert (second.retries, second.unserved) == (6, {("m", "w", "queue_full"): 2})
    assert (twice.sent, twice.requests[2], twice.prompt_tokens) == (10, 10, 14)
    assert (sum(twice.tpot.counts), sum(twice.answer_length.counts), twice.answer_length.sum) == (2, 2, 16)
    assert twice.tpot.sum == pytest.approx(0.2)


def test_a_time_on_a_bound_counts_below_it():
    """Buckets hold what is at most their bound, as Prometheus has it; the last one holds all the rest."""
    times, lengths = Histogram(), Histogram(BOUNDS_TOKENS)
    times.add(0.001)
    times.add(1e9)
    lengths.add(8)
    assert (times.counts[0], times.counts[-1]) == (1, 1)
    assert lengths.counts[BOUNDS_TOKENS.index(8)] == 1
    assert list(BOUNDS_S) == sorted(BOUNDS_S)


VLLM = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:gpu_cache_usage_perc{engine="0",model_name="m"} 0.9
vllm:e2e_request_latency_seconds_bucket{le="+Inf"} 1.0
"""


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        # the tempting wrong answer of the first: an old name of vLLM over its new one, 0.9 in place of 0.5
        (VLLM, {"requests_running": 7, "requests_waiting": 2, "kv_cache_usage_ratio": 0.5}),
        (
            'sglang:num_running_reqs{model_name="m"} 5\nsglang:num_queue_reqs 6\nsglang:token_usage 0.28\n',
            {"requests_running": 5, "requests_waiting": 6, "kv_cache_usage_ratio": 0.28},
        ),
        ("llamacpp:requests_processing 1\nllamacpp:requests_deferred 0\n",
         {"requests_running": 1, "requests_waiting": 0}),
        ("python_gc_objects_collected_total 3\n", {}),
    ],
)  # fmt: skip
def test_engines_are_understood(text, figures):
    """Running, waiting and cache use of vLLM, SGLang and llama.cpp by their own names; of others nothing."""
    assert engine_figures(text) == figures


def test_engines_are_asked_in_the_background():
    """Figures of an engine are in our metrics; one without metrics, or with a page or too much, has none."""

    async def answers(text, status=200):
        async def reply(engine, asked, writer):
            writer.write(whole(status, text))

        return await Engine(reply).start()

    async def play():
        good = await answers(VLLM.encode())
        for text, status, is_offered in (
            (b"nothing", 404, False), (b"<html>", 200, True), (b"#" * 5_000_000, 200, True), (b"", 302, False),
        ):  # fmt: skip
            bad = await answers(text, status)
            async with gateway([bad]) as server:
                (replica,) = server.gateway.serving.replicas
                replica.engine = {"requests_running": 1.0}
                assert await ask_engine(replica) is is_offered
                assert replica.engine == {}
            await bad.stop()
        async with gateway([good]) as server:
            server.watch_engines(0.05)
            await until(lambda: server.gateway.serving.replicas[0].engine)
            samples = await scrape(server)
            assert named(samples, "cuvee_engine_requests_running") == {("e0", "g1"): 7}
            assert named(samples, "cuvee_engine_kv_cache_usage_ratio") == {("e0", "g1"): 0.5}
            assert all(asked.line == "GET /metrics HTTP/1.1" for asked in good.asked)

    asyncio.run(play())


def test_a_fetch_has_its_limits():
    """Chunked replies are read; those that are too large, too slow or no HTTP are failures, and nothing is followed."""

    async def play():
        async def reply(engine, asked, writer):
            if "chunked" in asked.line:
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            elif "slow" in asked.line:
                await asyncio.sleep(5)
            elif "moved" in asked.line:
                writer.write(whole(301, b"", b"location: http://127.0.0.1:1/"))
            else:
                writer.write(b"SSH-2.0\r\n\r\n")

        engine = await Engine(reply).start()

        async def fetched(path):
            return await get("127.0.0.1", engine.port, path, b"host: x\r\n", timeout_s=0.3, most_bytes=1000)

        assert await fetched(b"/chunked") == (200, b"abc")
        assert (await fetched(b"/moved"))[0] == 301
        with pytest.raises(ValueError, match="no HTTP"):
            await fetched(b"/other")
        with pytest.raises(TimeoutError):
            await fetched(b"/slow")
        with pytest.raises(ValueError, match="more than"):
            await get("127.0.0.1", engine.port, b"/chunked", b"host: x\r\n", timeout_s=1, most_bytes=10)
        await engine.stop()

    asyncio.run(play())


def test_a_record_is_plain_data():
    """What processes tell one another goes through JSON."""

    async def play():
        async with gateway([Engine()]) as server:
            await ask(server)
            record = record_of(server.gateway)
            assert json.loads(json.dumps(record))["counters"]["groups"][0][:3] == [MODEL, "wordy", "g1"]

    asyncio.run(play())
