"""What every test shares: settings under which a busy machine fails no generated case, shared traces, a real engine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from cuvee.plan.solver import program as program_module
from tests.engines import llama_server as engine
from tests.engines.gguf_file import write_gguf
from tests.engines.shape import NARROW

settings.register_profile(
    "cuvee",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # the same cases in every run of CI; new ones at a developer's desk
)
settings.load_profile("cuvee")

SHARED_TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"


@pytest.fixture(scope="session")
def shared_trace() -> Callable[[str], Path]:
    """Path of a shared trace; skips the test where the shared data are absent."""

    def find(name: str) -> Path:
        path = SHARED_TRACES / name
        if not path.is_file():
            pytest.skip(f"{name} is not in ../shared/data/traces")
        return path

    return find


@pytest.fixture(scope="session")
def llama_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a tiny model for llama.cpp; skips the test where that engine is not installed, but not in CI."""
    if not engine.is_installed():
        message = "xllamacpp is not installed; to do: pip install --group engines"
        if "CI" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    return write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", NARROW)


@pytest.fixture(scope="session")
def llama_server(llama_model: Path) -> Iterator[str]:
    """Address of a llama.cpp server of the tiny model, eight requests at once of 1024 tokens each."""
    with engine.running(llama_model, engine.LlamaSettings(), llama_model.with_suffix(".log")) as url:
        yield url


@pytest.fixture(autouse=True, scope="session")
def no_entry_twice():
    """Every program that a test solves has each entry of its matrix once: the solver refuses another, or adds it up."""
    to_highs = program_module._to_highs

    def checked(highspy, program):
        rows = np.concatenate([block.rows for block in program.blocks] or [[]])
        columns = np.concatenate([block.columns for block in program.blocks] or [[]])
        twice = len(rows) - len(np.unique(rows * len(program.cost) + columns))
        assert not twice, f"{twice} entries of the matrix are there twice"
        return to_highs(highspy, program)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_module, "_to_highs", checked)
        yield
