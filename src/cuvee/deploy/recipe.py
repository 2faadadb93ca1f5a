"""How one replica is started: command templates of engines, and what is filled into them."""

import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from cuvee.errors import InputError

PLACEHOLDERS = {
    "model": "name or folder of the model, by --model or the plan",
    "served_name": "name under which clients ask for it",
    "host": "address to listen at",
    "port": "port to listen at",
    "tensor_parallel_size": "GPUs over which each layer is split",
    "pipeline_parallel_size": "pipeline stages",
    "max_num_seqs": "most sequences at once, by the plan's engine",
    "max_num_tokens": "token budget of a step, by the plan's engine",
    "memory_utilization": "share of GPU memory, by the plan's engine",
    "kv_cache_dtype": "auto, or fp8 where the plan keeps the cache in 8 bit",
    "devices": "numbers of its GPUs with commas between",
    "group": "id of its group in the plan",
    "replica": "which of the group, from 0",
}
"""What a template may name, and what stands for it."""


@dataclass(frozen=True)
class Recipe:
    """How replicas are started.

    Attributes
        command        Template: words, quoted as in a shell, with `PLACEHOLDERS` in braces. No shell runs it.
        environment    Variables beside those of the launcher; placeholders may stand in them too.
        cpus           Processors that the first, second, ... replica may run on, in turn; () for all of them.
        max_concurrency  Most requests that the gateway gives a replica at once [-]; None: as the plan reckons.
        uses_gpus      Whether a replica is given GPUs of the machine.
        most_sequences Most sequences at once that the engine can be told [-].
    """

    command: str
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    cpus: tuple[tuple[int, ...], ...] = ()
    max_concurrency: int | None = None
    uses_gpus: bool = True
    most_sequences: float = float("inf")

    def filled(self, values: Mapping[str, str], where: str) -> tuple[str, ...]:
        """Words of the command with `values` in it.

        Raises      InputError: quotes that do not close, an unknown placeholder, no command at all.
        """
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise InputError(
                f"{where}: command {self.command!r}: {error}", expected="words, quoted as in a shell"
            ) from None
        if not words:
            raise InputError(f"{where}: an empty command", expected="what starts an engine", remedy=EXAMPLE)
        return tuple(_filled(word, values, where) for word in words)

    def environment_of(self, values: Mapping[str, str], where: str) -> dict[str, str]:
        """Variables with `values` in them; raises as `filled` does."""
        return {name: _filled(text, values, where) for name, text in self.environment.items()}


EXAMPLE = "e.g. 'vllm serve {model} --port {port}'; docs/real-fleet.md lists what may stand in braces"

ENGINES = {
    "vllm": Recipe(
        "vllm serve {model} --served-model-name {served_name} --host {host} --port {port}"
        " --tensor-parallel-size {tensor_parallel_size} --pipeline-parallel-size {pipeline_parallel_size}"
        " --max-num-seqs {max_num_seqs} --max-num-batched-tokens {max_num_tokens}"
        " --gpu-memory-utilization {memory_utilization} --kv-cache-dtype {kv_cache_dtype}"
    ),
    "sglang": Recipe(
        "python -m sglang.launch_server --model-path {model} --served-model-name {served_name} --host {host}"
        " --port {port} --tp-size {tensor_parallel_size} --pp-size {pipeline_parallel_size}"
        " --max-running-requests {max_num_seqs} --chunked-prefill-size {max_num_tokens}"
        " --mem-fraction-static {memory_utilization}"
    ),
    "llama.cpp": Recipe(
        "llama-server --model {model} --alias {served_name} --host {host} --port {port} --threads-http 1024"
        " --n-gpu-layers 999 --parallel {max_num_seqs} --kv-unified",
        most_sequences=256,  # more it refuses; --kv-unified: else each gets so small a part of the context
    ),
}
"""Commands of engines, with the options their current versions take; the names are those of --engine."""


def engine_recipe(text: str) -> Recipe:
    """The recipe of --engine: a name of `ENGINES`, or a command template.

    Raises      InputError: neither.
    """
    name = text.strip()
    if name.lower() in ENGINES:
        return ENGINES[name.lower()]
    if "{port}" not in name:
        raise InputError(
            f"--engine {text!r}", expected=f"one of {', '.join(ENGINES)}, or a command with {{port}} in it",
            remedy=EXAMPLE,
        )  # fmt: skip
    return Recipe(name, uses_gpus="{devices}" in name)


def _filled(word: str, values: Mapping[str, str], where: str) -> str:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(word) if name is not None]
    except ValueError as error:
        raise InputError(
            f"{where}: {word!r}: {error}", expected="names in braces", remedy="write {{ and }} for braces themselves"
        ) from None
    unknown = [name for name in names if name not in values]
    if unknown:
        raise InputError(
            f"{where}: {{{unknown[0]}}} in {word!r}", expected=f"one of {', '.join(values)}",
            remedy="write {{ and }} for braces themselves",
        )  # fmt: skip
    return word.format(**values)
