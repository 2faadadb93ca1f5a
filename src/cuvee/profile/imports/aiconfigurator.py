"""The kernel tables of AIConfigurator: all that is known here of its interface, and nothing else.

Its package `aiconfigurator-core` holds measured times of single kernels (matrix products, attention, collectives) and
adds them up to steps of an engine. What it says of a replica is an estimate, by no means a measurement.

Source          aiconfigurator-core 0.12.0 (PyPI, Apache-2.0), read 2026-11: `sdk.perf_database.get_database_view`,
                `sdk.models.get_model`, `sdk.backends.base_backend.BaseBackend.run_agg`.
"""

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from cuvee.catalog.aliases import gpu_name_for
from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.model import ModelSpec
from cuvee.errors import InputError
from cuvee.units import MS_PER_S

PACKAGE, VERSION = "aiconfigurator-core", "0.12.0"
"""The version whose errors were measured (`cuvee.profile.imports.kernel_errors`); another one is refused."""

BACKENDS = {"tensorrt-llm": "trtllm", "vllm": "vllm", "sglang": "sglang"}
"""Its name of each engine."""

MOST_SEQUENCES = 512
"""Largest batch that its own search tries [-]."""

CURRENT = "current"
"""Its alias of the newest version of an engine with a complete set of tables."""

GEMM = {"bf16": "bfloat16", "fp16": "bfloat16", "fp8": "fp8", "int8": "int8_wo", "int4": "int4_wo"}
CACHE = {"bf16": "bfloat16", "fp16": "bfloat16", "fp8": "fp8", "int8": "int8"}
INSTALL = "pip install 'cuvee[aiconfigurator]' (Linux on x86-64, Python 3.11 to 3.13, some 600 MB)"


Runner = Callable[[int, int, int], tuple[dict[str, Any], bool]]
"""From batch, prompt and answer length to the package's results, and whether they fit."""


class NoTablesError(Exception):
    """Why the tables say nothing of a replica."""


@dataclass(frozen=True)
class KernelEstimate:
    """What the tables say of one replica on one kind of requests.

    Attributes
        rate_req_per_s    Of saturation [req/s].
        tpot_s            Time per output token at that rate [s].
        num_sequences     Sequences running at once [-].
        tables            Which they are, e.g. "trtllm 1.3.0rc20 on h100_sxm".
    """

    rate_req_per_s: float
    tpot_s: float
    num_sequences: int
    tables: str


def require_installed() -> None:
    """Raise InputError unless the version whose errors were measured is installed."""
    try:
        found = version(PACKAGE)
    except PackageNotFoundError:
        raise InputError(f"{PACKAGE} is not installed", expected=f"{PACKAGE} {VERSION}", remedy=INSTALL) from None
    if found != VERSION:
        raise InputError(
            f"{PACKAGE} {found}", expected=f"{VERSION}, the version whose errors were measured", remedy=INSTALL
        )


@dataclass
class KernelTables:
    """Estimates of one engine; a context that holds what the package wants as files.

    Parameters
        engine    One of `BACKENDS`.
    """

    engine: str
    _folder: "tempfile.TemporaryDirectory[str] | None" = field(default=None, init=False, repr=False)
    _runners: dict[tuple[str, str, int, str, str], Runner] = field(default_factory=dict, init=False, repr=False)

    def __enter__(self) -> "KernelTables":
        require_installed()
        logging.getLogger("aiconfigurator_core").setLevel(logging.CRITICAL)
        self._folder = tempfile.TemporaryDirectory(prefix="cuvee-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def estimate(
        self,
        model: ModelSpec,
        gpu: str,
        tensor_parallel_size: int,
        *,
        precision: str,
        kv_precision: str,
        input_tokens: float,
        output_tokens: float,
        most_sequences: float = MOST_SEQUENCES,
    ) -> KernelEstimate:
        """Rate of one replica at the largest batch that fits by the package's own count of memory.

        Parameters
            most_sequences    Requests under way at most [-].
        Notes                 A step that computes prompts computes one, as `ctx_tokens` = the prompt's length says.
        Raises                NoTablesError: the tables lack the GPU, the precision or an operation, or it does not fit.
        """
        try:
            system = gpu_name_for("aiconfigurator", gpu)
            key = (model.name, gpu, tensor_parallel_size, precision, kv_precision)
            if key not in self._runners:
                self._runners[key] = self._runner(model, gpu, system, *key[2:])
            run = self._runners[key]
            lengths = (max(1, round(input_tokens)), max(1, round(output_tokens)))
            most = max(1, min(round(most_sequences), MOST_SEQUENCES))
            if not run(1, *lengths)[1]:
                raise NoTablesError("weights and one request do not fit by the package's count")
            batch = _largest(lambda tried: run(tried, *lengths)[1], most)
            found = run(batch, *lengths)[0]
        except InputError as error:
            raise NoTablesError(error.arrived) from None
        except (ValueError, RuntimeError, KeyError) as error:  # every error of the package is one of these
            raise NoTablesError(str(error).partition("\n")[0][:120]) from None
        tables = f"{found['backend']} {found['version']} on {system}"
        return KernelEstimate(found["seq/s"], found["tpot"] / MS_PER_S, batch, tables)

    def _runner(self, model: ModelSpec, gpu: str, system: str, size: int, precision: str, kv_precision: str) -> Runner:
        backend = BACKENDS[self.engine]
        database = _sdk("perf_database").get_database_view(system, backend, CURRENT)
        if database is None:
            raise NoTablesError(f"no tables of {backend} on {system}")
        common, config = _sdk("common"), _sdk("config")
        attention = "fp8" if kv_precision == "fp8" and "fp8" in find_gpu(gpu).tflops else "bfloat16"
        asked = config.ModelConfig(
            tp_size=size,
            gemm_quant_mode=common.GEMMQuantMode[_named(precision, GEMM)],
            kvcache_quant_mode=common.KVCacheQuantMode[_named(kv_precision, CACHE)],
            fmha_quant_mode=common.FMHAQuantMode[attention],
        )
        built = _sdk("models").get_model(self._path(model), asked, backend)
        engine = _sdk("backends.factory").get_backend(backend)  # one for each model: what it remembers names none

        def run(batch: int, input_tokens: int, output_tokens: int) -> tuple[dict[str, Any], bool]:
            load = config.RuntimeConfig(isl=input_tokens, osl=output_tokens, batch_size=batch)
            summary = engine.run_agg(built, database, load, ctx_tokens=input_tokens)
            return summary.get_result_dict(), not (summary.check_oom() or summary.check_kv_cache_oom())

        return run

    def _path(self, model: ModelSpec) -> str:
        """Folder with a config.json of the model's shape: the package knows few models by name."""
        if model.moe is not None or model.mla is not None or model.sliding_window is not None:
            raise NoTablesError("only dense models with full attention were compared with measurements")
        assert self._folder is not None, "used outside of its context"
        folder = Path(self._folder.name) / model.name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps(_config(model)), encoding="utf-8")
        return str(folder)


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number from 1 to `most` that fits, of which 1 does."""
    if fits(most):
        return most
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _sdk(name: str) -> Any:  # noqa: ANN401 a module without types
    return import_module(f"aiconfigurator_core.sdk.{name}")


def _named(precision: str, names: dict[str, str]) -> str:
    if precision not in names:
        raise NoTablesError(f"no tables for precision {precision}")
    return names[precision]


def _config(model: ModelSpec) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads,
        "head_dim": model.head_dim,
        "intermediate_size": model.ffn_size,
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.max_context,
        "torch_dtype": "bfloat16",
    }
