"""Several files as one table: what the setup fills in, what is flagged, and the CSV that other commands read."""

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.profile.imports.importing import import_files
from cuvee.profile.imports.points_table import points_to_csv
from cuvee.profile.imports.setup import Setup, load_setup, make_setup
from cuvee.profile.measurements import load_measurements
from tests.profile.imports.samples import (
    POINT,
    aiperf,
    aiperf_record,
    guidellm,
    guidellm_benchmark,
    report,
    vllm,
    write,
)

SETUP = make_setup(POINT, "here")


def imported(tmp_path, *contents, setup=SETUP, **options):
    paths = [write(tmp_path, f"run{index}.json", content) for index, content in enumerate(contents)]
    return import_files(paths, setup, **options)


def test_a_sound_run_is_not_doubted(tmp_path):
    """The sample is steady, long enough and possible: nothing is flagged."""
    (point,) = imported(tmp_path, vllm()).points
    assert (point.doubts, point.remarks) == ((), ())


def test_the_table_is_read_back(tmp_path):
    """`load_measurements` gives the same figures, names and doubts."""
    found = imported(tmp_path, vllm(), vllm(max_concurrency=8, duration=5.0))
    path = write(tmp_path, "points.csv", points_to_csv(found))
    first, second = load_measurements(path)
    assert (first.id, second.id) == ("run0", "run1")
    assert (first.gpu, first.model, first.engine, first.engine_version) == ("H100-SXM", "llama-3.1-8b", "vllm", "0.11")
    assert (first.num_gpus, first.tensor_parallel_size, first.pipeline_parallel_size, first.replicas) == (1, 1, 1, 1)
    assert (first.input_tokens, first.output_tokens, first.concurrency) == (1000.0, 200.0, 16.0)
    assert first.request_rate_req_per_s is None
    assert first.rate_req_per_s == pytest.approx(4.0)
    assert first.ttft_s == pytest.approx(0.05)
    assert first.tpot_s == pytest.approx(0.01985)
    assert (first.is_doubtful, second.is_doubtful) == (False, True)
    assert "a run of 5 s" in second.note
    again = import_files([path], on_clash="error")
    assert points_to_csv(again) == path.read_text()


def test_setup_fills_in_and_the_file_stands(tmp_path):
    """A file's own word is kept and a difference told, one GPU by two names is none; the served name gives way."""
    (point,) = imported(tmp_path, vllm(gpu="NVIDIA-H100-80GB-HBM3", tp=2), setup=SETUP).points
    served = point.point.deployment
    assert (served.gpu, served.tp, served.pp, served.replicas, served.model) == ("H100-SXM", 2, 1, 1, "llama-3.1-8b")
    assert point.remarks == (
        "the file says tp 2; 1 of the setup is left aside",
    )  # one GPU by two names is no difference
    nameless = make_setup({"gpu": "A40", "tp": 4}, "here")
    assert imported(tmp_path, vllm(), setup=nameless).points[0].point.deployment.model == "served"


def test_all_that_is_missing_is_named_at_once(tmp_path):
    """With the options that say it."""
    with pytest.raises(InputError, match="which GPU served and over how many GPUs") as caught:
        imported(tmp_path, vllm(), setup=Setup())
    assert "--gpu H100-SXM --tp 2" in caught.value.remedy
    content = vllm(max_concurrency=None)
    del content["request_rate"]
    with pytest.raises(InputError, match="how requests came") as caught:
        imported(tmp_path, content)
    assert "--concurrency" in caught.value.remedy
    stated = make_setup({**POINT, "concurrency": 16}, "here")
    assert imported(tmp_path, content, setup=stated).points[0].point.load.concurrency == 16.0


def test_a_setup_file_with_single_files(tmp_path):
    """What stands under `files:` comes first for that file."""
    text = "gpu: H100\ntp: 1\nengine: vllm\nfiles:\n  run1.json: {tp: 4, gpu: A100}\n"
    setup = load_setup(write(tmp_path, "setup.yaml", text))
    served = [each.point.deployment for each in imported(tmp_path, vllm(), vllm(), setup=setup).points]
    assert [(each.gpu, each.tp, each.engine) for each in served] == [
        ("H100-SXM", 1, "vllm"),
        ("A100-80GB-SXM", 4, "vllm"),
    ]


def test_a_setup_of_a_file_that_is_not_read_is_refused(tmp_path):
    """A slip of the name would lose what was said of the file without a word."""
    setup = load_setup(write(tmp_path, "setup.yaml", "gpu: H100\ntp: 1\nengine: vllm\nfiles:\n  run-1.json: {tp: 4}\n"))
    with pytest.raises(InputError, match=r"a file 'run-1\.json'.*\n.*run0\.json, run1\.json"):
        imported(tmp_path, vllm(), vllm(), setup=setup)


def test_an_engine_that_nobody_knows_is_told(tmp_path):
    """Its points are imported, but nothing can be fitted to them."""
    found = imported(tmp_path, vllm(), setup=make_setup({**POINT, "engine": "fooeng"}, "here"))
    assert any("fooeng" in remark and "leave its points out" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "no mapping"),
        ("gpus: H100\n", "'gpus'"),
        ("gpu: H900\n", "unknown GPU type"),
        ("tp: 0\n", "tp = 0"),
        ("tp: two\n", "tp"),
        ("gpu: ''\n", "gpu"),
        ("engine_version: 0.10\n", "engine_version = 0.1"),
        ("concurrency: 0\n", "concurrency"),
        ("concurrency: .inf\n", "concurrency"),
        ("all_at_once: yes\nconcurrency: 2\n", "all_at_once beside concurrency"),
        ("files: [a]\n", "files: no mapping"),
        ("files:\n  a.json: 3\n", "a.json"),
        ("files:\n  a.json: {gpu: H900}\n", "unknown GPU type"),
    ],
)
def test_setups_that_cannot_be_used(tmp_path, text, told):
    """Each is refused with what is wrong."""
    with pytest.raises(InputError, match=told):
        load_setup(write(tmp_path, "setup.yaml", text))


def test_no_engine_is_told(tmp_path):
    """Points without one cannot be scored, and that is said once."""
    nameless = make_setup({"gpu": "H100", "tp": 1, "model": "llama-3.1-8b"}, "here")
    found = imported(
        tmp_path, vllm(), vllm(max_concurrency=8, request_throughput=2.0, output_throughput=400), setup=nameless
    )
    assert found.remarks == ("2 of 2 points name no engine, and cuvee score leaves those out: give --engine",)


def test_an_unknown_model_is_not_held_against_a_data_sheet(tmp_path):
    """That is a note, not a doubt."""
    (point,) = imported(tmp_path, vllm(), setup=make_setup({**POINT, "model": "ours"}, "here")).points
    assert not point.doubts
    assert "unknown model 'ours'" in point.remarks[0]


SAMPLES = (
    vllm(),
    guidellm(guidellm_benchmark({"type_": "concurrent", "streams": 10})),
    aiperf(),
    aiperf_record(0.0),
    report(rate_qps=10.0),
)
ANYTHING: Any = st.sampled_from(
    [None, 0, -1, 1, 1e-300, 1e300, math.nan, math.inf, "", "x", "inf", True, [], [1], {}, [[]], [{}], 10**400, 'a,"b']
)


def leaves(content, path=()):
    """Paths of everything inside."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in inside:
        yield (*path, name)
        yield from leaves(value, (*path, name))


@given(data=st.data(), sample=st.sampled_from(SAMPLES), value=ANYTHING)
def test_whatever_stands_in_a_field(data, sample, value, tmp_path_factory):
    """It is read into a table that is read back the same, or refused; nothing else comes of it."""
    content: Any = copy.deepcopy(sample)
    *folders, name = data.draw(st.sampled_from(list(leaves(content))))
    inside = content
    for folder in folders:
        inside = inside[folder]
    inside[name] = value
    folder = tmp_path_factory.getbasetemp()
    setup = make_setup({**POINT, "concurrency": 16}, "here")
    try:
        found = import_files([write(folder, "any.json", content)], setup)
    except InputError:
        return
    text = points_to_csv(found)
    path = write(folder, "any.csv", text)
    assert len(load_measurements(path)) == len(found.points)
    assert points_to_csv(import_files([path])) == text
