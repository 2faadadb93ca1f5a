"""Plan, replicas and keys read again while requests run: all or nothing, and nobody notices."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cuvee.errors import InputError
from cuvee.plan.outcome.files import plan_to_json
from cuvee.serve.journal import TRACE_HEADER, Journal, access_line, trace_line
from cuvee.serve.keys import Account, Accounts, add_key, load_keys
from cuvee.serve.reloading import Reloader
from cuvee.serve.replicas_file import load_deployment
from cuvee.serve.running import Place, _reload_all, load_serving
from cuvee.serve.server import Server
from cuvee.workload.readers import load_trace
from tests.serve.test_faults import load
from tests.serve.world import CLIENTS, MODEL, QUICK, Client, Engine, ask, ended, gateway, two_types, until, with_copies


def write_files(folder: Path, engines, plan=None, *, names=("tiny",)) -> Place:
    """Plan and replicas as files: engines in turn over the groups."""
    plan = plan or with_copies(two_types(), len(engines), 1)
    (folder / "plan.json").write_text(plan_to_json(plan))
    lines = "".join(
        f'  - {{url: "http://127.0.0.1:{engine.port}", group: {plan.groups[at % len(plan.groups)].id}}}\n'
        for at, engine in enumerate(engines)
    )
    models = f"models: {{{MODEL}: {{names: [{', '.join(names)}]}}}}\n"
    (folder / "replicas.yaml").write_text(f"version: 1\nreplicas:\n{lines}{models}")
    return Place(plan=folder / "plan.json", replicas=folder / "replicas.yaml")


async def serving_files(place: Place, options=QUICK):
    """A gateway on files, its reloader, and what ends it."""
    server = Server(load_serving(place, options), options)
    await server.start("127.0.0.1", 0)
    reloader = Reloader(server.gateway, lambda: load_serving(place, options))
    await server.start_admin("127.0.0.1", 0, reloader.reload)

    async def end():
        while CLIENTS:
            await ended(CLIENTS.pop().writer)
        await server.drain()

    return server, reloader, end


def test_reloads_under_load_lose_nothing(tmp_path):
    """While replicas come, go and change their groups over and over, every one of 600 requests is answered."""

    async def play():
        engines = [await Engine().start() for _ in range(3)]
        place = write_files(tmp_path, engines)
        server, reloader, end = await serving_files(place)
        working = asyncio.create_task(load(server, 600))
        plan, turns = two_types(), 0
        while not working.done():
            turns += 1
            if turns % 2:
                write_files(tmp_path, engines[: len(plan.groups)], with_copies(plan, 1, len(plan.groups)))
            else:
                write_files(tmp_path, engines[turns % 3 :] or engines)
            await reloader.reload()
            await asyncio.sleep(0.02)
        assert await working == {200: 600}
        assert server.gateway.counters.reloads == turns >= 3
        await until(lambda: all(each.held == 0 for each in server.gateway.serving.replicas))
        assert all(abs(each) < 1e-9 for each in server.gateway.serving.router.occupancy)
        await end()
        for engine in engines:
            await engine.stop()

    asyncio.run(play())


def test_a_reload_keeps_connections_load_and_what_was_learnt(tmp_path):
    """A replica that stays keeps its connections and the requests it holds; estimates go on from where they were."""

    async def slow(engine, asked, writer):
        await asyncio.sleep(0.3)
        from tests.serve.world import completed

        await completed(engine, asked, writer)

    async def play():
        engine = await Engine(slow).start()
        server, reloader, end = await serving_files(write_files(tmp_path, [engine]))
        client = await Client.to(server)
        await client.ask({"prompt": "x" * 64, "max_tokens": 9})
        learnt = server.gateway.serving.models["tiny"].answers
        client.send()
        await until(lambda: server.gateway.serving.replicas[0].held == 1)
        await reloader.reload()
        serving = server.gateway.serving
        assert serving.replicas[0].held == serving.router.held[0] == 1
        assert serving.router.occupancy[0] > 0
        assert serving.models["tiny"].answers is learnt
        assert (await client.reply()).status == 200
        assert engine.num_connections <= 2 + server.gateway.counters.reloads + 5
        assert serving.router.held == [0]
        await end()
        await engine.stop()

    asyncio.run(play())


def test_a_reload_of_wrong_files_changes_nothing(tmp_path):
    """Files that cannot be used are refused as a whole, by the admin port too, and serving goes on."""

    async def play():
        engine = await Engine().start()
        place = write_files(tmp_path, [engine])
        server, reloader, end = await serving_files(place)
        before = server.gateway.serving
        good = place.replicas.read_text()
        for wrong in (
            "", "version: 2\nreplicas: []", good.replace("g1", "g9"), good.replace("http:", "file:"),
            good.replace("url", "uri"), "replicas: [", good.replace("tiny", "a b"),
        ):  # fmt: skip
            place.replicas.write_text(wrong)
            with pytest.raises(InputError, match="expected"):
                await reloader.reload()
        reply = await administer(server, "POST /reload")
        assert (reply.status, reply.json["error"]["code"]) == (422, "not_reloaded")
        assert server.gateway.serving is before
        assert (await ask(server)).status == 200
        place.replicas.write_text(good)
        assert (await administer(server, "POST /reload")).json == {"reloaded": True, "notes": []}
        assert server.gateway.counters.failed_reloads == 8
        await end()
        await engine.stop()

    asyncio.run(play())


def test_an_error_of_our_own_in_a_reload_is_answered_and_counted(tmp_path):
    """Whoever asked for it is told, and serving goes on with what was there."""

    async def play():
        engine = await Engine().start()
        server, reloader, end = await serving_files(write_files(tmp_path, [engine]))
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(str(what["exception"])))

        def fail():
            raise RuntimeError("a fault")

        reloader.load = fail
        reply = await administer(server, "POST /reload")
        assert (reply.status, reply.json["error"]["code"]) == (500, "internal_error")
        assert told == ["a fault"]
        assert server.gateway.counters.failed_reloads == 1
        assert (await ask(server)).status == 200
        await end()
        await engine.stop()

    asyncio.run(play())


def test_all_processes_count_a_reload_that_is_refused(tmp_path):
    """One of several that is asked reads the files first, and counts where they are wrong."""

    async def play():
        async with gateway([Engine()]) as server:
            place = Place(plan=tmp_path / "none.json", replicas=tmp_path / "none.yaml", processes=2)
            with pytest.raises(InputError):
                await _reload_all(server, lambda: load_serving(place, QUICK), 0)
            assert server.gateway.counters.failed_reloads == 1

    asyncio.run(play())


async def administer(server, line, *headers):
    """A request to the admin port, by default with the Host that it expects."""
    client = await Client.to(server, server.admin_address)
    lines = "".join(f"{each}\r\n" for each in headers or ("Host: localhost",))
    client.writer.write(f"{line} HTTP/1.1\r\n{lines}\r\n".encode())
    return await client.reply()


def test_the_admin_port(tmp_path):
    """Metrics, status and health are there for programs, and not for pages of a browser or other paths."""

    async def play():
        engine = await Engine().start()
        server, _, end = await serving_files(write_files(tmp_path, [engine]))
        await load(server, 10)
        metrics = (await administer(server, "GET /metrics")).body.decode()
        assert 'cuvee_requests_total{group="g1",model="llama-3-8b",status="2xx"' in metrics
        assert "llm_total_hourly_cost" in metrics
        status = (await administer(server, "GET /status")).json
        assert status["replicas"][0]["requests"] == 10
        assert (await administer(server, "GET /health")).status == 200
        assert (await administer(server, "GET /metrics", "Host: evil.example")).status == 403
        assert (await administer(server, "GET /metrics", "Host: localhost", "Origin: http://localhost")).status == 403
        assert (await administer(server, "GET /metrics", "Host: [")).status == 400
        assert (await administer(server, "GET /v1/models")).status == 404
        assert (await administer(server, "GET /reload")).status == 405
        await end()
        await engine.stop()

    asyncio.run(play())


def test_a_model_that_a_reload_drops(tmp_path):
    """Requests that wait for a model that is gone are told; those under way end."""

    async def slow(engine, asked, writer):
        from tests.serve.world import completed

        await asyncio.sleep(0.2)
        await completed(engine, asked, writer)

    async def play():
        engine = await Engine(slow).start()
        server, reloader, end = await serving_files(write_files(tmp_path, [engine]))
        client = await Client.to(server)
        client.send()
        await until(lambda: server.gateway.exchanges)
        write_files(tmp_path, [engine], names=("other",))
        await reloader.reload()
        assert (await client.reply()).status == 200
        assert (await client.ask()).status == 404
        assert (await client.ask({"model": "other"})).status == 200
        await end()
        await engine.stop()

    asyncio.run(play())


def test_keys(tmp_path):
    """Without a key that is known there is no answer; a key stays within its limits; the file holds no secret."""
    file = tmp_path / "keys.yaml"
    keys = {
        "free": add_key(file, "free"), "one": add_key(file, "one", concurrency=1),
        "two": add_key(file, "two", requests_per_minute=2), "few": add_key(file, "few", tokens_per_minute=60),
    }  # fmt: skip
    assert not any(key.split(".")[1] in file.read_text() for key in keys.values())
    with pytest.raises(InputError, match="there is a key"):
        add_key(file, "free")

    async def slow(engine, asked, writer):
        from tests.serve.world import completed

        await asyncio.sleep(0.1)
        await completed(engine, asked, writer)

    async def play():
        engine = Engine(slow)
        async with gateway([engine]) as server:
            server.gateway.serving.accounts = Accounts(load_keys(file))

            async def get(name, **record):
                return await ask(server, record, "/v1/completions", f"Authorization: Bearer {keys[name]}")

            wrong = keys["free"][:-1] + ("0" if keys["free"][-1] != "0" else "1")
            for header in (
                "Bearer",
                f"Bearer {wrong}",
                "Bearer sk-cuvee-nobody.00",
                "Basic abc",
                "Token x",
            ):
                reply = await ask(server, None, "/v1/completions", f"Authorization: {header}")
                assert (reply.status, reply.json["error"]["code"]) == (401, "invalid_api_key")
            assert (await ask(server)).status == 401
            assert (await ask(server, None, "/v1/models", method="GET")).status == 401
            assert engine.asked == []
            assert (await get("free")).status == 200
            assert not any(name.lower() == "authorization" for name, _ in engine.asked[0].headers)
            both = await asyncio.gather(get("one"), get("one"))
            assert sorted(reply.status for reply in both) == [200, 429]
            assert (await get("one")).status == 200
            assert [(await get("two")).status for _ in range(3)] == [200, 200, 429]
            assert [(await get("few", max_tokens=40)).status for _ in range(2)] == [200, 429]
            reply = await get("few", max_tokens=40)
            assert 1 <= int(reply.headers["retry-after"]) <= 60

    asyncio.run(play())


def test_an_allowance_fills_up():
    """Sixty a minute are one a second: after two of two, one more is there a second later."""
    from cuvee.serve.keys import Bucket

    bucket = Bucket(60, 0.0)
    bucket.left = 0.5
    assert bucket.wait_s(0.0, 1.0) == pytest.approx(0.5)
    assert bucket.wait_s(0.5, 1.0) == 0.0
    assert bucket.wait_s(1000.0, 61.0) == 0.0
    account = Account(load_keys_of(requests_per_minute=1), 0.0)
    account.begin(1)
    assert account.wait_s(0.0, 1) == pytest.approx(60, rel=0.01)


def load_keys_of(**limits):
    """One key with limits."""
    from cuvee.serve.keys import new_key

    return new_key("x", **limits)[1]


def test_files_of_keys_that_are_wrong(tmp_path):
    """Each mistake in a file of keys is an error that shows no hash."""
    file = tmp_path / "keys.yaml"
    add_key(file, "ann")
    good = file.read_text()
    digest = good.split("hash: ")[1].split("\n")[0]
    for wrong in (
        "", "keys: [", good.replace("version: 1", "version: 2"), good.replace(digest, "short"),
        good.replace("ann", "a b"), good + "  concurrency: 0\n", good + "  colour: red\n",
    ):  # fmt: skip
        file.write_text(wrong)
        with pytest.raises(InputError, match="expected") as error:
            load_keys(file)
        assert digest not in str(error.value)


def test_log_and_trace_hold_lengths_and_no_text(tmp_path):
    """Each request leaves a line with lengths and times in both files; the trace reads back; no prompt, no key."""

    async def play():
        async with gateway([Engine()]) as server:
            server.keep(Journal(tmp_path / "access.log", access_line))
            server.keep(Journal(tmp_path / "trace.csv", trace_line, TRACE_HEADER))
            client = await Client.to(server)
            for tokens in (5, 6, 7):
                await client.ask({"prompt": "secret words", "max_tokens": tokens})
            await client.ask({"prompt": "secret words", "max_tokens": 4, "stream": True})

    asyncio.run(play())
    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert [line["answer_tokens"] for line in lines] == [5, 6, 7, 4]
    assert {line["group"] for line in lines} == {"g1"}
    trace = load_trace(tmp_path / "trace.csv")
    assert trace.output_tokens.tolist() == [5, 6, 7, 4]
    assert trace.model_names == (MODEL,)
    assert "secret" not in (tmp_path / "access.log").read_text() + (tmp_path / "trace.csv").read_text()


def test_a_group_without_replicas_is_an_error_and_a_missing_one_a_note(tmp_path):
    """Every group of the plan needs a replica; fewer than planned are told, and the shares settled for them."""
    plan = with_copies(two_types(), 2, len(two_types().groups))

    class At:
        port = 9000

    place = write_files(tmp_path, [At], replace(plan, groups=plan.groups))
    with pytest.raises(InputError, match="no replica of group"):
        load_deployment(place.replicas, plan)
    single = with_copies(plan, 2, 1)
    found = load_deployment(write_files(tmp_path, [At], single).replicas, single)
    assert "1 replica, the plan has 2" in found.notes[0]


def test_a_host_that_can_be_no_name_is_refused_on_reading(tmp_path):
    """An empty label is told with the line it is in. Tempting: only the first request to it finds out."""
    path = tmp_path / "replicas.yaml"
    group = two_types().groups[0].id
    path.write_text(f'version: 1\nreplicas:\n  - {{url: "http://a..b:8000", group: {group}}}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"replicas\.0: url 'http://a\.\.b:8000'"):
        load_deployment(path, two_types())
