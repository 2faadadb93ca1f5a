"""The model catalogue agrees with published counts; names, paths and hub ids lead to the right shape."""

import contextlib
import json
import sys
import types
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cuvee.catalog import load_model, load_models
from cuvee.errors import CuveeError, InputError, MissingExtraError, UnknownNameError
from tests.catalog.configs import LLAMA_3_8B

MODELS = load_models()

FIGURES = {
    "llama-3-8b": (8030261248, 8030261248, 131072, 16.1, None),
    "llama-3-70b": (70553706496, 70553706496, 327680, 141.1, None),
    "llama-3.1-8b": (8030261248, 8030261248, 131072, 16.1, None),
    "llama-3.1-70b": (70553706496, 70553706496, 327680, 141.1, None),
    "llama-3.3-70b": (70553706496, 70553706496, 327680, 141.1, None),
    "llama-3.1-405b": (405853388800, 405853388800, 516096, 811.7, None),
    "qwen2.5-7b": (7615616512, 7615616512, 57344, 15.2, None),
    "qwen2.5-14b": (14770033664, 14770033664, 196608, 29.5, None),
    "qwen2.5-32b": (32763876352, 32763876352, 262144, 65.5, None),
    "qwen2.5-72b": (72706203648, 72706203648, 327680, 145.4, None),
    "qwen3-8b": (8190726144, 8190726144, 147456, 16.4, None),
    "qwen3-14b": (14768296960, 14768296960, 163840, 29.5, None),
    "qwen3-32b": (32762106880, 32762106880, 262144, 65.5, None),
    "qwen3-30b-a3b": (30532110336, 3353020416, 98304, 61.1, None),
    "qwen3-235b-a22b": (235093610496, 22190739456, 192512, 470.2, None),
    "mixtral-8x7b": (46702792704, 12879925248, 131072, 93.4, None),
    "mixtral-8x22b": (140620634112, 39152031744, 229376, 281.2, None),
    "deepseek-v3": (671026404352, 37552282624, 70272, 1342.1, 671.0),
    "deepseek-r1": (671026404352, 37552282624, 70272, 1342.1, 671.0),
    "gpt-oss-20b": (20914757184, 4187439168, 49152, 41.8, 13.8),
    "gpt-oss-120b": (116829156672, 5711980608, 73728, 233.7, 65.2),
    "gemma-3-27b": (27008663808, 27008663808, 507904, 54.0, None),
    "phi-4": (14659507200, 14659507200, 204800, 29.3, None),
    "llama-2-7b": (6738415616, 6738415616, 524288, 13.5, None),
    "llama-2-13b": (13015864320, 13015864320, 819200, 26.0, None),
    "llama-2-70b": (68976648192, 68976648192, 327680, 138.0, None),
    "codellama-7b": (6738546688, 6738546688, 524288, 13.5, None),
    "codellama-13b": (13016028160, 13016028160, 819200, 26.0, None),
    "codellama-34b": (33743970304, 33743970304, 196608, 67.5, None),
    "llama-3.2-1b": (1235814400, 1235814400, 32768, 2.5, None),
    "llama-3.2-3b": (3212749824, 3212749824, 114688, 6.4, None),
    "llama-4-scout": (107769861120, 17172894720, 196608, 215.5, None),
    "llama-4-maverick": (400711848960, 17184691200, 196608, 801.4, None),
    "tinyllama-1.1b": (1100048384, 1100048384, 22528, 2.2, None),
    "llama-3.1-nemotron-70b": (70553706496, 70553706496, 327680, 141.1, None),
    "deepseek-r1-distill-llama-8b": (8030261248, 8030261248, 131072, 16.1, None),
    "deepseek-r1-distill-llama-70b": (70553706496, 70553706496, 327680, 141.1, None),
    "deepseek-r1-distill-qwen-1.5b": (1777088000, 1777088000, 28672, 3.6, None),
    "deepseek-r1-distill-qwen-7b": (7615616512, 7615616512, 57344, 15.2, None),
    "deepseek-r1-distill-qwen-14b": (14770033664, 14770033664, 196608, 29.5, None),
    "deepseek-r1-distill-qwen-32b": (32763876352, 32763876352, 262144, 65.5, None),
    "deepseek-v2-lite": (15706484224, 2661150208, 31104, 31.4, None),
    "mistral-7b-v0.1": (7241732096, 7241732096, 131072, 14.5, None),
    "mistral-7b-v0.2": (7241732096, 7241732096, 131072, 14.5, None),
    "mistral-7b-v0.3": (7248023552, 7248023552, 131072, 14.5, None),
    "mistral-nemo-12b": (12247782400, 12247782400, 163840, 24.5, None),
    "mistral-small-22b": (22247282688, 22247282688, 229376, 44.5, None),
    "mistral-small-24b": (23572403200, 23572403200, 163840, 47.1, None),
    "mistral-large-123b": (122610069504, 122610069504, 360448, 245.2, None),
    "gemma-2-2b": (2614341888, 2614341888, 106496, 5.2, None),
    "gemma-2-9b": (9241705984, 9241705984, 344064, 18.5, None),
    "gemma-2-27b": (27227128320, 27227128320, 376832, 54.5, None),
    "gemma-3-1b": (999885952, 999885952, 26624, 2.0, None),
    "gemma-3-4b": (3880263168, 3880263168, 139264, 7.8, None),
    "gemma-3-12b": (11766034176, 11766034176, 393216, 23.5, None),
    "phi-3-mini-4k": (3821079552, 3821079552, 393216, 7.6, None),
    "phi-3-mini-128k": (3821079552, 3821079552, 393216, 7.6, None),
    "phi-3.5-mini": (3821079552, 3821079552, 393216, 7.6, None),
    "phi-3-medium-4k": (13960238080, 13960238080, 204800, 27.9, None),
    "phi-3-medium-128k": (13960238080, 13960238080, 204800, 27.9, None),
    "phi-4-mini": (3836021760, 3836021760, 131072, 7.7, None),
    "yi-34b": (34388917248, 34388917248, 245760, 68.8, None),
    "falcon3-7b": (7455550464, 7455550464, 114688, 14.9, None),
    "falcon3-10b": (10305653760, 10305653760, 163840, 20.6, None),
    "command-r-35b": (34980831232, 34980831232, 1310720, 70.0, None),
    "qwen2-7b": (7615616512, 7615616512, 57344, 15.2, None),
    "qwen2.5-0.5b": (494032768, 494032768, 12288, 1.0, None),
    "qwen2.5-1.5b": (1543714304, 1543714304, 28672, 3.1, None),
    "qwen2.5-3b": (3085938688, 3085938688, 36864, 6.2, None),
    "qwen2.5-coder-1.5b": (1543714304, 1543714304, 28672, 3.1, None),
    "qwen2.5-coder-7b": (7615616512, 7615616512, 57344, 15.2, None),
    "qwen2.5-coder-14b": (14770033664, 14770033664, 196608, 29.5, None),
    "qwen2.5-coder-32b": (32763876352, 32763876352, 262144, 65.5, None),
    "qwq-32b": (32763876352, 32763876352, 262144, 65.5, None),
    "qwen1.5-moe-a2.7b": (14315784192, 2689173504, 196608, 28.6, None),
    "qwen3-0.6b": (596049920, 596049920, 114688, 1.2, None),
    "qwen3-1.7b": (1720574976, 1720574976, 114688, 3.4, None),
    "qwen3-4b": (4022468096, 4022468096, 147456, 8.0, None),
    "qwen3-4b-2507": (4022468096, 4022468096, 147456, 8.0, None),
    "qwen3-30b-a3b-2507": (30532122624, 3353032704, 98304, 61.1, None),
    "qwen3-235b-a22b-2507": (235093634560, 22190763520, 192512, 470.2, None),
    "qwen3-coder-30b-a3b": (30532122624, 3353032704, 98304, 61.1, None),
    "qwen3-coder-480b-a35b": (480154875392, 35474765312, 253952, 960.3, None),
    "glm-4.5": (352797805472, 33632242592, 376832, 705.6, None),
    "glm-4.5-air": (106852251264, 13424129664, 188416, 213.7, None),
    "glm-4.7": (352797805472, 33632242592, 376832, 705.6, None),
    "kimi-k2": (1026408232448, 32861500928, 70272, 2052.8, 1028.8),
}
"""Computed apart from this code, from llama-2-7b on tensor by tensor: parameters, of them active, cache bytes
a token, weights in 16 bit and as released."""


VOCABULARY_NOT_COUNTED = {"gpt-oss": 1, "kimi-k2": 1, "deepseek-v2-lite": 1, "glm-4": 2}
"""Vocabulary matrices that a card leaves out of its active count: the embedding, or the head as well."""


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_total_parameters_match_the_model_card(model):
    """Dimensions give the published count within 1.5 %: cards round, and Llama 4's count the vision tower."""
    assert model.params_total / 1e9 == pytest.approx(model.published_params_b, rel=0.015)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_active_parameters_match_the_model_card(model):
    """Active counts agree within 2.5 %, without the vocabulary where the card leaves it out."""
    matrices = sum(count for start, count in VOCABULARY_NOT_COUNTED.items() if model.name.startswith(start))
    active = model.params_active - matrices * model.embedding_params
    assert active / 1e9 == pytest.approx(model.published_active_b, rel=0.025)


@pytest.mark.parametrize("name", FIGURES)
def test_weights_and_cache_equal_the_independent_figures(name):
    """Parameters, cache bytes and weight bytes agree with a computation made elsewhere."""
    total, active, kv_bytes, weight_gb, released_gb = FIGURES[name]
    model = MODELS[name]
    # Biases beside QKV (gpt-oss) are left out here: under 0.1 %.
    assert model.params_total == pytest.approx(total, rel=1e-3)
    assert model.params_active == pytest.approx(active, rel=1e-3)
    assert model.kv_bytes_per_token() == kv_bytes
    assert model.weight_bytes("bf16") / 1e9 == pytest.approx(weight_gb, abs=0.06, rel=1e-3)
    if released_gb is not None:
        assert model.weight_bytes(model.released_precision) / 1e9 == pytest.approx(released_gb, rel=0.02)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_model_has_independent_figures(model):
    """No entry goes without the second computation."""
    assert model.name in FIGURES


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_model_states_its_source(model):
    """Source, hub id and architecture are there; window layers add up."""
    assert model.source
    assert model.hf_id.count("/") == 1
    assert model.architecture
    if model.sliding_window:
        assert model.sliding_window.full_layers + model.sliding_window.sliding_layers == model.num_layers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama-3-70b", "llama-3-70b"),
        ("Llama 3 70B", "llama-3-70b"),
        ("LLAMA_3.1_8B", "llama-3.1-8b"),
        ("meta-llama/Meta-Llama-3-70B", "llama-3-70b"),
        ("qwen/qwen3-32b", "qwen3-32b"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
    ],
)
def test_a_model_is_found_by_name_or_hub_id(name, expected):
    """Case and separators do not matter; an instruction-tuned sibling has its base's shape."""
    assert load_model(name).name == expected


def test_an_instruct_sibling_keeps_the_id_that_was_asked_for():
    """What is exported is the model that was named, not its base."""
    assert load_model("meta-llama/Llama-3.1-70B-Instruct").hf_id == "meta-llama/Llama-3.1-70B-Instruct"


@pytest.mark.parametrize("name", ["lama-3-70b", "", "gpt4", "a\0b"])
def test_an_unknown_model_is_an_unknown_name(name):
    """A word that is neither model nor path names the nearest models and the command."""
    with pytest.raises(UnknownNameError, match="cuvee models"):
        load_model(name)


@pytest.mark.parametrize("path", ["no/such/config.json", "dir/config.json", "./missing", "../x"])
def test_a_missing_file_is_not_taken_for_a_hub_id(path, tmp_path, monkeypatch):
    """What looks like a path is never asked of the hub."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        load_model(path)


def test_a_folder_and_its_config_give_the_same_model(tmp_path):
    """A folder with a config.json, as a download makes, is read like the file."""
    folder = tmp_path / "my-llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA_3_8B))
    assert load_model(folder) == load_model(str(folder / "config.json"))
    assert load_model(folder).name == "my-llama"
    assert load_model(folder).params_total == MODELS["llama-3-8b"].params_total


@pytest.mark.parametrize(
    ("algorithm", "precision"), [("FP8", "fp8"), ("NVFP4", "int4"), ("W4A8_AWQ", "int4"), ("INT8_SQ", "int8")]
)
def test_a_quantisation_file_beside_the_config_counts(tmp_path, algorithm, precision):
    """hf_quant_config.json, as ModelOpt writes it, sets the released precision."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_8B))
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": {"quant_algo": algorithm}}))
    assert load_model(tmp_path).released_precision == precision


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: not JSON"),
        (b'{"a": 1,\n "b" 2}', ":2:6: not JSON"),
        (b"[1, 2]", "a list"),
        (b"null", "nothing"),
        (b"{}\0", "NUL byte"),
        (b"\xff\xfe{}", "text in UTF-16"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "not usable JSON"),
        (b" " * 10_000_002, "more than 10 MB"),
        (b"{}", "model_type"),
    ],
    ids=["empty", "comma", "list", "null", "nul", "utf16", "nested-list", "nested", "digits", "huge", "no-fields"],
)
def test_a_file_that_is_no_config_is_an_input_error(tmp_path, content, message):
    """Broken, hostile and huge files are named, with line and column where they have one."""
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_model(path)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_as_config_raise_nothing_else(tmp_path, content):
    """No file makes the model reader fail with anything but our own errors."""
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with contextlib.suppress(CuveeError):
        load_model(path)


def test_a_hub_id_without_the_extra_names_the_extra(monkeypatch):
    """An id outside the catalogue needs the hub, and the message says what to install."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"cuvee\[hub\]"):
        load_model("some-org/some-model")


def fake_hub(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    """Stand-in for huggingface_hub with its error tree."""
    errors = types.ModuleType("huggingface_hub.errors")
    http_error = type("HfHubHTTPError", (OSError,), {})
    vars(errors).update(HfHubHTTPError=http_error, EntryNotFoundError=type("EntryNotFoundError", (http_error,), {}))
    hub = types.ModuleType("huggingface_hub")
    vars(hub).update(hf_hub_download=download, errors=errors)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)


def test_a_hub_model_is_read_from_its_config(monkeypatch, tmp_path):
    """The config that the hub client downloads gives the shape; a missing quantisation file is normal."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_8B))

    def download(repo: str, file_name: str) -> str:
        if file_name != "config.json":
            raise sys.modules["huggingface_hub.errors"].EntryNotFoundError(repo)
        return str(tmp_path / file_name)

    fake_hub(monkeypatch, download)
    model = load_model("some-org/some-model")
    assert (model.name, model.hf_id) == ("some-org/some-model", "some-org/some-model")
    assert model.params_total == MODELS["llama-3-8b"].params_total


@pytest.mark.parametrize("failure", [OSError("no route"), ValueError("bad id"), RuntimeError("closed")])
def test_hub_failures_are_translated(monkeypatch, failure):
    """A network or HTTP failure becomes an InputError that says what to check."""

    def download(repo: str, file_name: str) -> Path:
        raise failure

    fake_hub(monkeypatch, download)
    with pytest.raises(InputError, match=r"(?s)some-org/some-model.*HF_TOKEN"):
        load_model("some-org/some-model")
