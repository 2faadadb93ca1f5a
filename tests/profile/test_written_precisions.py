"""One word for a precision means one thing to every reader of measurements."""

import pytest

from cuvee.profile import load_throughput_table
from cuvee.profile.imports.importing import import_files
from cuvee.profile.measurements import load_measurements
from cuvee.profile.points import KnownPoint


@pytest.mark.parametrize(("text", "name"), [("w4a16", "int4"), ("fp16", "bf16"), ("FP8?", "fp8"), ("awq", "int4")])
def test_every_reader_takes_the_same_names(tmp_path, text, name):
    """A table of rates, measured points and imported results read one word alike: once only some knew w4a16."""
    path = tmp_path / "points.csv"
    row = f"H100-SXM,llama-3.1-8b,vllm,500,100,1,{text},bf16,9\n"
    path.write_text(f"gpu,model,engine,isl,osl,tp,weights,kv,req_s\n{row}")
    assert load_throughput_table(path).rates[0].precision == name
    assert KnownPoint.of(load_measurements(path)[0]).config.precision == name
    assert not [said for said in import_files([path]).points[0].remarks if "precision" in said]


@pytest.mark.parametrize(
    ("model", "precision"),
    [("deepseek-ai/DeepSeek-V3", "fp8"), ("llama-3.1-8b", "bf16"), ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "fp8")],
)
@pytest.mark.parametrize("word", ["", "auto"])
def test_weights_nobody_speaks_of_are_as_released(tmp_path, model, precision, word):
    """A plan's table and `score` take weights as released and a cache in 16 bit. Tempting: bf16 for all."""
    path = tmp_path / "points.csv"
    path.write_text(f"gpu,model,engine,isl,osl,tp,weights,kv,req_s\nH200-SXM,{model},vllm,500,100,8,{word},{word},9\n")
    rate, point = load_throughput_table(path).rates[0], KnownPoint.of(load_measurements(path)[0])
    assert (rate.precision, rate.kv_precision) == (precision, "bf16")
    assert (point.config.precision, point.config.kv_precision) == (precision, "bf16")
