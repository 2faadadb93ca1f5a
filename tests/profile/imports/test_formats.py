"""Which format a file has is told by its content; what none has, is cut off or too large is refused."""

import gzip
import json

import pytest

from cuvee.errors import InputError
from cuvee.profile.imports import formats
from cuvee.profile.imports.formats import read_load_points
from tests.profile.imports.samples import vllm, write

ROWS = "gpu,model,isl,osl,req_s\nH100-SXM,llama-3.1-8b,1000,200,4\n"


@pytest.mark.parametrize("name", ["run.json", "run.csv", "run", "run.txt.bak"])
def test_the_name_does_not_matter(tmp_path, name):
    """Not even a wrong one."""
    assert read_load_points(write(tmp_path, name, vllm()))[0].file_format == "vLLM bench"
    assert read_load_points(write(tmp_path, name, ROWS))[0].file_format == "CSV"


def test_indented_and_compressed(tmp_path):
    """An object over many lines is one object, and gzip is told by its first bytes."""
    path = tmp_path / "run.json"
    path.write_bytes(gzip.compress(json.dumps(vllm(), indent=2).encode()))
    (point,) = read_load_points(path)
    assert (point.place, point.completed) == (str(path), 400)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("{}", "no known format"),
        ("[]", "no known format"),
        ("[1, 2]", "no known format"),
        ('{"a": 1, "b": 2}', "object with a, b"),
        ("a,b\n1,2\n", "columns a, b"),
        ("isl,osl\n1,2\n", "no known format"),
        ("isl,osl,req_s\n", "no rows"),
        ("isl,osl,req_s\n10,20,\n", "run.json:2: nothing measured"),
        ("isl,osl,req_s\n10,2e8,3\n", "osl = '2e8'"),
        ("isl,osl,req_s,ttft_ms\n10,20,3,1e10\n", "from 0.000001 to 1,000,000,000 .ms."),
        ("isl,osl,req_s,ttft_ms\n10,20,3,-1\n", "ttft_ms = '-1'"),
        ("isl,osl,req_s,tp\n10,20,3,0\n", "tp = '0'"),
        ("version: 0.2.1\nrun: [\n", "not YAML"),
        ("version: 0.2.1\nrun: 3\n", "no known format"),
        ("just words", "no known format"),
        ("gpu,isl,osl,req_s\nA40,1,2\n", "3 fields"),
        ("[" * 100_000, "not usable JSON"),
    ],
)
def test_no_known_format(tmp_path, content, told):
    """The message names the file, says what was there, and what is known."""
    path = write(tmp_path, "run.json", content)
    with pytest.raises(InputError, match=told) as caught:
        read_load_points(path)
    assert str(path) in caught.value.arrived


def test_cut_off(tmp_path):
    """A file that ends in the middle is refused with the place, whether one object or one a line."""
    text = json.dumps(vllm())
    with pytest.raises(InputError, match=r"run\.json:1:\d+: not JSON"):
        read_load_points(write(tmp_path, "run.json", text[: len(text) // 2]))
    with pytest.raises(InputError, match=r"runs\.json:2"):
        read_load_points(write(tmp_path, "runs.json", f"{text}\n{text[:40]}\n"))
    half = tmp_path / "half.json.gz"
    half.write_bytes(gzip.compress(text.encode())[:200])
    with pytest.raises(InputError, match="broken"):
        read_load_points(half)


def test_too_large(tmp_path, monkeypatch):
    """A file above the limit is refused before it is taken apart, compressed or not."""
    monkeypatch.setattr(formats, "MAX_FILE_MB", 0.001)
    path = tmp_path / "run.json.gz"
    path.write_bytes(gzip.compress(json.dumps(vllm(generated_texts=["x"] * 1000)).encode()))
    with pytest.raises(InputError, match=r"more than 0\.001 MB") as caught:
        read_load_points(path)
    assert "without the list of single requests" in caught.value.remedy
