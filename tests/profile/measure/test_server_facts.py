"""What engines say of themselves, in the words of each."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.profile.measure.server_facts import ServerFacts, ask_server

VLLM = {
    "/v1/models": {"data": [
        {"id": "meta-llama/Llama-3.1-8B-Instruct", "owned_by": "vllm", "max_model_len": 8192, "parent": None},
        {"id": "my-adapter", "owned_by": "vllm", "parent": "meta-llama/Llama-3.1-8B-Instruct"},
    ]},
    "/version": {"version": "0.11.2"},
    "/metrics": '# HELP\nvllm:cache_config_info{block_size="16",cache_dtype="fp8_e4m3",'
    'gpu_memory_utilization="0.9",num_gpu_blocks="27000",secret="x"} 1.0\n',
}  # fmt: skip
SGLANG = {
    "/v1/models": {"data": [{"id": "qwen", "owned_by": "sglang", "max_model_len": 40960}]},
    "/get_server_info": {
        "version": "0.5.6.post2", "tp_size": 2, "pp_size": 1, "mem_fraction_static": 0.88, "api_key": "hidden",
        "max_total_num_tokens": 123456, "kv_cache_dtype": "auto", "quantization": None,
    },
}  # fmt: skip
LLAMA = {
    "/v1/models": {"data": [{"id": "tiny.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 1024, "n_vocab": 331}}]},
    "/props": {"build_info": "b8681-x", "total_slots": 4},
}


class _Said:
    """A client of a server that says these things."""

    url = "http://host"

    def __init__(self, pages):
        self._pages = pages

    async def ask(self, path):
        page = self._pages.get(path)
        return (404, "") if page is None else (200, page if isinstance(page, str) else json.dumps(page))

    def cleaned(self, text):
        return text


def said(pages, served_name=None):
    """Facts of a server that says `pages`."""
    client: object = _Said(pages)
    return asyncio.run(ask_server(client, served_name))  # type: ignore[arg-type]


def test_vllm():
    """The model that adapters stand on; settings from the metrics, and none that is not on the list."""
    facts = said(VLLM)
    assert facts == ServerFacts(
        "meta-llama/Llama-3.1-8B-Instruct", 8192, None, "vllm", "0.11.2",
        {"block_size": "16", "cache_dtype": "fp8_e4m3", "gpu_memory_utilization": "0.9", "num_gpu_blocks": "27000"},
    )  # fmt: skip
    assert (facts.kv, facts.tp) == ("fp8", None)
    assert said(VLLM, "my-adapter").served_name == "my-adapter"


def test_sglang():
    """Parallelism is stated; a key among the settings is not taken."""
    facts = said(SGLANG)
    assert (facts.engine, facts.version, facts.tp, facts.pp, facts.kv) == ("sglang", "0.5.6.post2", 2, 1, None)
    assert "api_key" not in facts.settings
    assert "max_total_num_tokens" not in facts.steady_settings


def test_llama_cpp():
    """The context of a slot and the vocabulary are with the model."""
    facts = said(LLAMA)
    assert (facts.engine, facts.version, facts.max_context, facts.vocabulary) == ("llama.cpp", "b8681-x", 1024, 331)
    assert facts.settings == {"total_slots": "4"}


def test_a_server_that_says_little():
    """A named model is enough; without a name there must be one."""
    assert said({}, "mine") == ServerFacts("mine")
    with pytest.raises(InputError, match="lists no model"):
        said({})
    with pytest.raises(InputError, match="not 'other'"):
        said(VLLM, "other")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["data", "id", "owned_by", "meta", "n_ctx", "version", "tp_size", "parent", "max_model_len"]),
        inner, max_size=4,
    ),
)  # fmt: skip


@given(models=JSON, version=JSON, metrics=st.text(max_size=40))
def test_whatever_is_said(models, version, metrics):
    """Any JSON at any place: facts, or a refusal in three parts."""
    pages = {"/v1/models": json.dumps(models), "/version": json.dumps(version), "/metrics": metrics}
    try:
        facts = said(pages)
    except InputError:
        return
    assert facts.served_name
    assert facts.max_context is None or facts.max_context > 0
