"""Records that nobody wrote: refused before anything is sent, in one message each."""

import json

import pytest

from cuvee.errors import InputError
from cuvee.profile.measure.record import load_record
from tests.profile.measure.measuring import run
from tests.profile.measure.server import free_port


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The text of a record with three points, two held and one paced."""
    path = tmp_path_factory.mktemp("records") / "record.json"
    run(path=path, loads=(0.5,), latency_within=0.5, least_requests=20, first_concurrency=8, max_concurrency=8)
    return path.read_text()


def refused(path, text):
    """What is said of a record of that text, in its three parts."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        load_record(path)
    assert str(error.value).count("to do:") == str(error.value).count("expected:") == 1
    assert (path.read_bytes() if isinstance(text, bytes) else path.read_text()) == text
    return error.value.arrived


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("sent", "requests"), -50, "sent.requests = -50"),
        (("sent", "seconds"), 1e999, "sent.seconds = inf"),
        (("sent", "seconds"), "nan", "sent.seconds = nan"),
        (("content_seed",), -1, "content_seed = -1"),
        (("facts", "vocabulary"), -3, "facts.vocabulary = -3"),
        (("prompts",), {}, "prompts = {}"),
        (("prompts", "kind"), "songs", "'songs'"),
        (("prompts", "added_tokens"), "two", "'two'"),
        (("prompts", "tokens_per_word"), 0, "'tokens_per_word': 0"),
        (("extra",), ["min_p"], "extra: 'min_p'"),
        (("options", "within"), 5, "options: within = 5"),
        (("points", 0, "type_name"), "other", "points.0.type_name = 'other'"),
        (("points", 0, "concurrency"), None, "points.0: concurrency = None and load = None"),
        (("points", 2, "concurrency"), 3, "points.2: concurrency = 3 and load = 0.5"),
        (("points", 0, "rate_req_per_s"), 0, "points.0.rate_req_per_s = 0"),
        (("points", 0, "end_to_end", "mean_s"), -1, "points.0.end_to_end.mean_s = -1"),
    ],
)
def test_figures_that_none_is_written_with(tmp_path, written, place, value, expected):
    """Below 0, not finite, of no type: named by its place. Tempting: to check the kind of each field alone."""
    content = json.loads(written)
    inner = content
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    assert expected in refused(tmp_path / "r.json", json.dumps(content))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "r.json: no schema_version"),
        ('{"schema_version": 9}', "r.json: schema_version 9"),
        ("{", "r.json: not JSON (expecting property name"),
        (b"\x00\x01\x02", "r.json:1: a NUL byte, not text"),
        ("[" * 100_000, "r.json: not JSON (nested too deeply)"),
    ],
)
def test_one_error_for_each_file(tmp_path, text, expected):
    """JSON of another kind is not told to be no JSON, and no message stands within another."""
    arrived = refused(tmp_path / "r.json", text)
    assert expected in arrived
    assert "not JSON" in expected or "not JSON" not in arrived


def test_what_was_written_is_read(tmp_path, written):
    """The record itself passes, and is gone on with."""
    (tmp_path / "r.json").write_text(written)
    assert len(load_record(tmp_path / "r.json").points) == 3


def test_nothing_is_sent_with_a_record_of_that_kind(tmp_path):
    """Edited between two runs: the second ends before its first request. Tempting: to fail in every stream."""
    path, port = tmp_path / "record.json", free_port()
    run(path=path, port=port, stop_after=1)
    content = json.loads(path.read_text())
    content["sent"]["requests"] = -50
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"sent\.requests = -50"):
        run(path=path, port=port)
