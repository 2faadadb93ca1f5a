"""Throughput tables load from our own and public columns, match what they measured, and fail by name and line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cuvee.errors import CuveeError, InputError
from cuvee.profile import (
    AnalyticProvider,
    ChainProvider,
    Provenance,
    RateSource,
    ReplicaConfig,
    Stage,
    TableProvider,
    load_throughput_table,
    profile,
)
from cuvee.profile.measured import model_key
from cuvee.profile.providers import known_first, measured_table
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

OWN = "model,gpu,tensor_parallel_size,input_tokens,output_tokens,rate_req_per_s"
PUBLIC = "gpu,tp,pp,replicas,model,weights,kv,engine,isl,osl,concurrency,request_rate,req_s,ttft_ms,tpot_ms,doubtful"
SPECIFIC = "Qwen3-14B,fp16,?,vLLM,496,18"


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def own(folder: Path, *rows: str, header: str = OWN) -> TableProvider:
    return load_throughput_table(write(folder, "\n".join((header, *rows))))


def rate(provider: TableProvider, config: ReplicaConfig, lengths: tuple[float, float]) -> float:
    """Rate of the table, 0 where it does not have the cell."""
    table = provider.table([config], [workload(*lengths)])
    assert table.fits[0, 0] == (table.rate_req_per_s[0, 0] > 0)
    return float(table.rate_req_per_s[0, 0])


# -- matching ---------------------------------------------------------------------------------


def test_a_row_that_names_a_copy_speaks_of_its_base_at_its_precision(tmp_path):
    """The rates of an FP8 copy are those of the base in FP8. Tempting: those in 16 bit, as no precision is stated."""
    provider = own(tmp_path, "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8,RTX 4090,1,496,18,11.5")
    assert rate(provider, even_config("llama-3.1-8b", "RTX4090", precision="fp8"), (496, 18)) == 11.5
    assert rate(provider, even_config("llama-3.1-8b", "RTX4090"), (496, 18)) == 0


def test_a_row_answers_for_its_configuration_and_lengths_only(tmp_path):
    """Another model, GPU, size, precision or length is unknown: fits False, rate 0, band infinite."""
    provider = own(tmp_path, "llama-3-8b,RTX 4090,1,496,18,11.5")
    assert rate(provider, even_config("llama-3-8b", "RTX4090"), (496, 18)) == 11.5
    for config in (
        even_config("llama-3.1-8b", "RTX4090"),
        even_config("llama-3-8b", "L40"),
        even_config("llama-3-8b", "RTX4090", 2),
        even_config("llama-3-8b", "RTX4090", 1, 2),
        even_config("llama-3-8b", "RTX4090", precision="fp8"),
    ):
        assert rate(provider, config, (496, 18)) == 0
    assert rate(provider, even_config("llama-3-8b", "RTX4090"), (496, 20)) == 0
    table = provider.table([even_config("llama-3-8b", "L40")], [workload(496, 18)])
    assert np.isinf(table.relative_error).all()


def test_lengths_match_within_the_stated_tolerance_and_the_nearest_wins(tmp_path):
    """5 % by default, both lengths; wider where asked; of two rows in reach the nearer one."""
    rows = ("llama-3-8b,L40,1,500,100,4.0", "llama-3-8b,L40,1,540,100,3.0")
    provider, config = own(tmp_path, *rows), even_config("llama-3-8b", "L40")
    assert rate(provider, config, (475, 105)) == 4.0
    assert rate(provider, config, (530, 100)) == 3.0  # 6 % above 500, 2 % below 540
    assert rate(provider, config, (515, 100)) == 4.0  # 3 % above 500, 5 % below 540
    assert rate(provider, config, (500, 106)) == 0
    wide = load_throughput_table(tmp_path / "table.csv", length_tolerance=0.2)
    assert rate(wide, config, (500, 118)) == 4.0


def test_of_rows_equally_near_the_fullest_run_counts(tmp_path):
    """Runs at 4, 8 and 48 streams draw lengths within 1 %: what the replica sustains is the best of them."""
    rows = ("llama-3-8b,L40,1,256,100.5,2.0", "llama-3-8b,L40,1,256,100,3.7", "llama-3-8b,L40,1,256,100.3,11.9")
    assert rate(own(tmp_path, *rows), even_config("llama-3-8b", "L40"), (256, 100)) == 11.9


def test_models_and_gpus_go_by_any_of_their_names(tmp_path):
    """A hub id, an instruct sibling, an alias of the GPU and fp16 for bf16 all meet the catalogue's names."""
    rows = (
        "meta-llama/Llama-3.1-8B-Instruct,A100-SXM4-80GB,1,496,18,10,fp16",
        "my own model,4090,1,496,18,5,",
    )
    provider = own(tmp_path, *rows, header=f"{OWN},precision")
    assert rate(provider, even_config("llama-3.1-8b", "A100-80GB-SXM"), (496, 18)) == 10
    assert rate(provider, ReplicaConfig("My Own Model", (Stage("RTX4090", 1, 9),)), (496, 18)) == 5


def test_a_path_of_a_config_is_the_model_it_holds():
    """`cuvee profile --model dir/config.json` writes that path; a plan calls the model by its folder."""
    assert model_key("/some/where/tiny-7/config.json") == model_key("tiny-7")
    assert model_key("/some/where/tiny-7.json") == model_key("tiny-7")
    assert model_key("/some/where/meta-llama-3-8b/config.json") == model_key("llama-3-8b")


def test_a_pipeline_row_means_the_even_split(tmp_path):
    """pipeline_parallel_size 3 of 80 layers is 27+27+26, not 26+27+27."""
    provider = own(tmp_path, "llama-3-70b,A40,2,496,18,1.5,3", header=f"{OWN},pipeline_parallel_size")
    assert rate(provider, even_config("llama-3-70b", "A40", 2, 3), (496, 18)) == 1.5
    uneven = ReplicaConfig("llama-3-70b", tuple(Stage("A40", 2, layers) for layers in (26, 27, 27)))
    assert rate(provider, uneven, (496, 18)) == 0


def test_stages_name_mixed_pipelines_layer_by_layer(tmp_path):
    """GPU:TPsize x layers of each stage; layers, order, network and cache precision must be the same where stated."""
    header = "model,stages,input_tokens,output_tokens,rate_req_per_s,spans_machines,kv_precision"
    provider = own(tmp_path, "llama-3-8b,A40:TP2x20|L40:TP1x12,496,18,7,yes,fp8", header=header)
    stages = (Stage("A40", 2, 20), Stage("L40", 1, 12))
    config = ReplicaConfig("llama-3-8b", stages, kv_precision="fp8", spans_machines=True)
    assert rate(provider, config, (496, 18)) == 7
    moved = ReplicaConfig("llama-3-8b", (Stage("A40", 2, 19), Stage("L40", 1, 13)), "bf16", "fp8", True)
    for other in (
        moved,
        ReplicaConfig("llama-3-8b", stages[::-1], "bf16", "fp8", True),
        ReplicaConfig("llama-3-8b", stages, "bf16", "fp8", spans_machines=False),
        ReplicaConfig("llama-3-8b", stages, "bf16", "bf16", spans_machines=True),
    ):
        assert rate(provider, other, (496, 18)) == 0


def test_optional_columns_travel_with_the_rate(tmp_path):
    """Band, latencies, provenance, source and date come from the row; a row without them has a stated band."""
    header = f"{OWN},relative_error,ttft_s,tpot_s,provenance,source,date"
    rows = (
        "llama-3-8b,L40,1,496,18,9,0.02,0.3,0.04,calibrated,our run,2026-09-30",
        "llama-3-8b,L4,1,496,18,4,,,,,,",
    )
    configs = [even_config("llama-3-8b", "L40"), even_config("llama-3-8b", "L4")]
    table = own(tmp_path, *rows, header=header).table(configs, [workload(496, 18)])
    assert (table.relative_error[0, 0], table.ttft_s[0, 0], table.tpot_s[0, 0]) == (0.02, 0.3, 0.04)
    assert table.provenance[:, 0].tolist() == [Provenance.CALIBRATED, Provenance.MEASURED]
    assert table.sources == (
        RateSource(Provenance.CALIBRATED, "our run", "2026-09-30"),
        RateSource(Provenance.MEASURED, str(tmp_path / "table.csv"), "not stated"),
    )
    assert (table.relative_error[1, 0], table.ttft_s[1, 0], table.tpot_s[1, 0]) == (0.05, 0, 0)


@pytest.mark.parametrize("provenance", [kind for kind in Provenance if kind is not Provenance.MEASURED])
def test_what_nobody_measured_has_no_band_unless_it_states_one(tmp_path, provenance):
    """A row of a model on an A40 claims no accuracy. Tempting: the band of an engine, which stands on other GPUs."""
    header = f"{OWN},relative_error,provenance"
    provider = own(tmp_path, f"llama-3-8b,A40,1,496,18,9,,{provenance}", header=header)
    table = provider.table([even_config("llama-3-8b", "A40")], [workload(496, 18)])
    assert np.isinf(table.relative_error[0, 0])


def test_json_holds_the_same_records_and_gzip_is_read(tmp_path):
    """A list of objects with the same fields, compressed or not."""
    records = [dict(zip(OWN.split(","), ("llama-3-8b", "L40", 1, 496, 18, 9.5), strict=True))]
    path = write(tmp_path, gzip.compress(json.dumps(records).encode()), "table.json.gz")
    assert rate(load_throughput_table(path), even_config("llama-3-8b", "L40"), (496, 18)) == 9.5


# -- public tables ------------------------------------------------------------------------------


def test_public_columns_load_as_they_are(tmp_path):
    """Rates are totals over replicas, latencies milliseconds; doubtful and open-loop rows are left out and counted."""
    rows = (
        f"A100-SXM-80G,1,1,2,{SPECIFIC},,,20,500,30,False",
        f"a GPU nobody knows,1,1,1,{SPECIFIC},,,99,,,True",
        f"A100-SXM-80G,1,1,1,{SPECIFIC},,5,99,,,False",
    )
    provider = own(tmp_path, *rows, header=PUBLIC)
    table = provider.table([even_config("qwen3-14b", "A100-80GB-SXM")], [workload(496, 18)])
    assert table.rate_req_per_s[0, 0] == 10
    assert (table.ttft_s[0, 0], table.tpot_s[0, 0]) == (0.5, 0.03)
    assert len(provider.rates) == 1
    assert [note.split(":")[0] for note in provider.notes] == ["1 row left out"] * 2


def test_rows_of_another_engine_are_left_out(tmp_path):
    """Engine "vllm-0.11" keeps the rows of vLLM that state no version; without an engine all stay."""
    rows = [
        f"L4,1,1,1,qwen3-8b,bf16,bf16,{engine},496,18,,,{count},,,False"
        for count, engine in enumerate(("vLLM", "SGLang", "TensorRT-LLM"), start=1)
    ]
    path = write(tmp_path, "\n".join((PUBLIC, *rows)))
    config = even_config("qwen3-8b", "L4")
    for engine, expected in (("vllm-0.11", 1), ("sglang", 2), ("trtllm", 3), (None, 3)):
        assert rate(load_throughput_table(path, engine=engine), config, (496, 18)) == expected
    with pytest.raises(InputError, match="measured on SGLang"):
        load_throughput_table(path, engine="lmdeploy")


def test_rows_of_another_version_are_left_out(tmp_path):
    """Rows of vLLM 0.19 are no measurement of the settings of 0.11. Tempting: the family alone, and 99 req/s."""
    rows = [
        f"H100-SXM,1,1,1,qwen3-8b,bf16,bf16,{engine},496,18,,,{count},,,False,{version}"
        for engine, version, count in (
            ("vLLM", "0.11.2", 1), ("vllm", "v0.12.0", 2), ("vllm-0.19", "", 99), ("vLLM", "0.19.1", 98),
            ("vLLM", "0.5.4", 97), ("vLLM", "2025-10", 3),
        )
    ]  # fmt: skip
    path = write(tmp_path, "\n".join((f"{PUBLIC},engine_version", *rows)))
    config = even_config("qwen3-8b", "H100-SXM")
    for engine, expected in (("vllm-0.11", 3), ("vllm-0.12", 3), ("vllm-0.19", 99), ("vllm-0.5", 97), (None, 99)):
        assert rate(load_throughput_table(path, engine=engine), config, (496, 18)) == expected
    notes = load_throughput_table(path, engine="vllm-0.11").notes
    assert "1 row left out: measured on vllm 0.19.1: other engine settings than vllm-0.11" in notes


def test_a_run_that_did_not_fill_the_replica_is_no_rate_of_it(tmp_path):
    """One request at a time is 0.4 req/s, no saturated rate: the model's own stands there.

    200 under way fill the replica, and say nothing of more: no band.
    """
    rows = [
        f"L4,1,1,2,qwen3-8b,bf16,bf16,vLLM,496,{out},{held},,{count},,,False"
        for out, held, count in ((18, 2, 0.8), (100, 400, 6))
    ]
    path = write(tmp_path, "\n".join((PUBLIC, *rows)))
    config, kinds = even_config("qwen3-8b", "L4"), [workload(496, 18), workload(496, 100)]
    table = profile([config], kinds, models=MODELS, gpus=GPUS, engine="vllm", table=path)
    assert table.provenance.ravel().tolist() == [Provenance.ESTIMATED, Provenance.MEASURED]
    assert table.rate_req_per_s[0, 1] == 3
    assert np.isinf(table.relative_error[0, 1])
    taken = measured_table(known_first([path], AnalyticProvider(MODELS, GPUS, VLLM)))
    assert taken is not None
    assert [note for note in taken.notes if "half of what" in note]


def test_a_row_that_says_whether_it_is_saturated_is_believed(tmp_path):
    """Saturated: its interval is the band where it is wider than what lengths may differ. Not shown: left out."""
    rows = [
        f"L4,1,1,1,qwen3-8b,bf16,bf16,vLLM,496,{out},8,,{count},,,False,{band},{saturated}"
        for out, count, band, saturated in ((18, 9, 0.01, "yes"), (100, 5, 0.08, "yes"), (100, 7, 0.01, "no"))
    ]
    path = write(tmp_path, "\n".join((f"{PUBLIC},relative_error,saturated", *rows)))
    kinds = [workload(496, 18), workload(496, 100)]
    table = profile([even_config("qwen3-8b", "L4")], kinds, models=MODELS, gpus=GPUS, engine="vllm", table=path)
    assert table.rate_req_per_s[0].tolist() == [9, 5]
    assert table.relative_error[0].tolist() == [0.05, 0.08]


# -- the chain ----------------------------------------------------------------------------------


def test_a_rate_above_the_data_sheet_is_left_out(tmp_path):
    """A slip of the unit: 5,000 req/s of 514 tokens take 36 times what an H100 multiplies; 50 are well below.

    Tempting: to plan with it, since a measurement comes before any model.
    """
    header = "model,gpu,tp,isl,osl,req_s"
    slip, sound = "Llama-3-8B,H100,1,496,18,5000", "Llama-3-8B,H100,1,496,18,50"
    provider = own(tmp_path, slip, sound, header=header)
    assert [rate.rate_req_per_s for rate in provider.rates] == [50]
    (note,) = provider.notes
    assert note.startswith("1 row left out: above what the data sheet allows (")
    assert "table.csv:2: 5000 req/s: a request takes" in note
    own_slip = own(tmp_path, "Llama-3-8B,H100,1,496,18,50", "Llama-3-8B,H100,1,496,18,5000")
    assert len(own_slip.rates) == 1


def test_the_table_comes_first_and_the_roofline_elsewhere(tmp_path):
    """One measured cell among estimated ones, each with its provenance; both sources are named."""
    path = write(tmp_path, f"{OWN}\nllama-3-8b,L40,1,496,18,9.5")
    configs = [even_config("llama-3-8b", "L40"), even_config("llama-3-8b", "L4")]
    kinds = [workload(496, 18), workload(824, 18)]
    table = profile(configs, kinds, models=MODELS, gpus=GPUS, engine="vllm", table=path)
    plain = profile(configs, kinds, models=MODELS, gpus=GPUS, engine=VLLM)
    assert table.rate_req_per_s[0, 0] == 9.5
    assert table.rate_req_per_s.ravel()[1:].tolist() == plain.rate_req_per_s.ravel()[1:].tolist()
    assert table.provenance.ravel().tolist() == [Provenance.MEASURED] + [Provenance.ESTIMATED] * 3
    assert [source.provider for source in table.sources] == [Provenance.MEASURED, Provenance.ESTIMATED]


def test_a_measured_cell_stands_where_the_roofline_sees_no_room(tmp_path):
    """What ran is believed to fit."""
    config = even_config("llama-3-70b", "A40")
    table = own(tmp_path, "llama-3-70b,A40,1,496,18,0.1")
    chained = ChainProvider(table, AnalyticProvider(MODELS, GPUS, VLLM)).table([config], [workload(496, 18)])
    assert chained.fits[0, 0]
    assert chained.rate_req_per_s[0, 0] == 0.1


# -- bad files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("llama-3-8b,L40,1,496,18,-1", r"table\.csv:2: rate_req_per_s = '-1'"),
        ("llama-3-8b,L40,1,496,18,0", r"table\.csv:2: rate_req_per_s = '0'"),
        ("llama-3-8b,L40,1,496,18,nan", r"table\.csv:2: rate_req_per_s = 'nan'"),
        ("llama-3-8b,L40,1,496,18,inf", r"table\.csv:2: rate_req_per_s"),
        ("llama-3-8b,L40,1,496,18,", r"table\.csv:2: rate_req_per_s"),
        ("llama-3-8b,L40,1,0.5,18,1", r"table\.csv:2: input_tokens"),
        ("llama-3-8b,L40,1,496,1e9,1", r"table\.csv:2: output_tokens"),
        ("llama-3-8b,L40,1.5,496,18,1", r"table\.csv:2: tensor_parallel_size"),
        ("llama-3-8b,L41,1,496,18,1", r"(?s)table\.csv:2: unknown GPU type 'L41'.*L4"),
        ("llama-3-8b,,1,496,18,1", r"table\.csv:2: gpu = ''"),
        (",L40,1,496,18,1", r"table\.csv:2: model = ''"),
        ("llama-3-8b,L40,1,496,18", r"table\.csv:2: 5 fields"),
        ('llama-3-8b,"L40,1,496,18,1', r"table\.csv:2"),
        ("", "no rows"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_and_column(tmp_path, row, message):
    """No row is guessed at or dropped in silence."""
    with pytest.raises(InputError, match=message):
        own(tmp_path, row)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("relative_error", "-0.1"),
        ("ttft_s", "-1"),
        ("tpot_s", "x"),
        ("provenance", "guessed"),
        ("date", "last week"),
        ("precision", "fp3"),
        ("kv_precision", "int4"),
        ("spans_machines", "maybe"),
        ("pipeline_parallel_size", "0"),
        ("stages", "A40:TP0x20"),
        ("stages", "A40:2x20"),
        ("stages", "A40:TP2x20|"),
    ],
)
def test_a_bad_optional_column_is_refused_by_name(tmp_path, column, value):
    """Optional does not mean unchecked."""
    with pytest.raises(InputError, match=rf"table\.csv:2: {column} = "):
        own(tmp_path, f"llama-3-8b,L40,1,496,18,1,{value}", header=f"{OWN},{column}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "model,gpu\nx,L40", r"a\.csv:2: no column 'input_tokens'"),
        ("a.csv", "model,input_tokens,output_tokens,rate_req_per_s\nx,1,1,1", "no column 'gpu'"),
        ("a.csv", b"\x00\x01\x02", "NUL byte"),
        ("a.csv", b"\xff\xfe" * 9, "text in UTF-16"),
        ("a.json", "[{]", r"a\.json:1:3: not JSON"),
        ("a.json", "{}", "no list"),
        ("a.json", "[1]", r"a\.json\[0\]: no object"),
        ("a.json", "[]", "no rows"),
        ("a.json", "[" * 100_000, "not usable JSON"),
        ("a.json", '[{"isl": 1}]', "no column 'model'"),
    ],
)
def test_an_unusable_file_is_refused(tmp_path, name, content, message):
    """Empty, binary, without its columns, or of another shape."""
    with pytest.raises(InputError, match=message):
        load_throughput_table(write(tmp_path, content, name))


def test_a_missing_file_and_a_senseless_tolerance_are_refused(tmp_path):
    """The path and the value are named."""
    with pytest.raises(InputError, match="no such file"):
        load_throughput_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="length_tolerance"):
        TableProvider((), length_tolerance=-1)


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"{OWN}\n{text}".encode()))
def test_any_bytes_are_a_table_or_a_cuvee_error(tmp_path, content):
    """Nothing in a file raises another exception."""
    try:
        provider = load_throughput_table(write(tmp_path, content))
    except CuveeError:
        return
    assert provider.rates
