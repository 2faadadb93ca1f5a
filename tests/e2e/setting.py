"""What the fleet is made of: kinds of engines that stand for GPU types, with prices, and the requests they get."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cuvee.workload.readers import load_trace
from cuvee.workload.records import Trace
from tests.engines.gguf_file import write_gguf
from tests.engines.hub_folder import write_folder
from tests.engines.shape import ModelShape

SLICE = Path(__file__).with_name("azure_2023.csv")
"""2400 requests of two Azure services, chat and code, as they came on 2023-11-16 from 18:35 on.

Source      Azure/AzurePublicDataset, AzureLLMInferenceTrace_conv and _code (Splitwise, ISCA 2024), CC-BY-4.0; both
            services merged by time.
"""

SHORTER_PROMPTS, SHORTER_ANSWERS = 16, 8
LONGEST_PROMPT, LONGEST_ANSWER = 256, 64
"""By how much lengths are divided for tiny models [-], and the longest left [tokens]."""

MODEL_NAME = "tiny"
CONTEXT = 512


@dataclass(frozen=True)
class Kind:
    """An engine that stands for a GPU type.

    Attributes
        gpu                   The GPU type whose name it bears; nothing else of that is real.
        share                 Of one processor that it may use [-].
        parallel              Most requests at once [-].
        shape                 Of the model it computes.
        price_usd_per_hour    Made up [$/h].
        stock                 How many there are to rent [-].
    """

    gpu: str
    share: float
    parallel: int
    shape: ModelShape
    price_usd_per_hour: float
    stock: int


SQUARE = ModelShape(hidden=256, layers=6, heads=4, kv_heads=2, intermediate=704, context=4096)
DEEP = ModelShape(hidden=128, layers=12, heads=4, kv_heads=2, intermediate=352, context=4096)

KINDS = (
    Kind("H100-SXM", 0.50, 8, SQUARE, 2.00, 2),
    Kind("L40S", 0.20, 8, DEEP, 0.80, 4),
    Kind("L4", 0.20, 1, SQUARE, 0.80, 4),
)
"""The first is good at all, the second at answers, the third at prompts: as GPUs with much memory bandwidth for their
arithmetic and with little are."""

BUDGET_USD_PER_HOUR = 3.2
"""So little that engines, gateway and load generator fit two processors, whatever is rented for it."""


@dataclass(frozen=True)
class Setting:
    """Files that all steps share.

    Attributes
        num_types    Workload types that requests are taken for [-].
    """

    folder: Path
    trace: Trace
    num_types: int

    @property
    def model_folder(self) -> Path:
        """What the planner reads the model's shape from."""
        return self.folder / "models" / MODEL_NAME

    @property
    def trace_file(self) -> Path:
        """The requests, scaled."""
        return self.folder / "trace.csv"

    @property
    def offers_file(self) -> Path:
        """What can be rented."""
        return self.folder / "offers.csv"

    @property
    def engines_file(self) -> Path:
        """What stands in for the GPU types."""
        return self.folder / "engines.yaml"

    def weights_of(self, kind: Kind) -> Path:
        """The model file of `kind`."""
        return self.folder / "models" / f"{kind.shape.hidden}x{kind.shape.layers}.gguf"

    def points_of(self, kind: Kind) -> Path:
        """What was measured of `kind`."""
        return self.folder / f"points-{kind.gpu}.csv"


def prepared(folder: Path, num_types: int) -> Setting:
    """Write models, offers and trace into `folder`."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    setting = Setting(folder.resolve(), scaled_trace(), num_types)
    write_folder(setting.model_folder, SQUARE)
    for kind in KINDS:
        if not setting.weights_of(kind).is_file():
            write_gguf(setting.weights_of(kind), kind.shape)
    lines = ["gpu,seller,num_gpus,machine_gpus,price_usd_per_hour,stock,as_of"]
    lines += [f"{kind.gpu},here,1,1,{kind.price_usd_per_hour},{kind.stock},2026-11-23" for kind in KINDS]
    setting.offers_file.write_text("\n".join(lines) + "\n")
    trace = setting.trace
    assert trace.arrival_s is not None
    rows = zip(trace.arrival_s, trace.input_tokens, trace.output_tokens, strict=True)
    lines = [f"{arrival:.3f},{prompt},{answer}" for arrival, prompt, answer in rows]
    setting.trace_file.write_text("\n".join(["arrival_s,input_tokens,output_tokens", *lines]) + "\n")
    return setting


def scaled_trace() -> Trace:
    """The slice with lengths that tiny models can bear."""
    real = load_trace(SLICE)
    prompt = np.clip(np.rint(real.input_tokens / SHORTER_PROMPTS), 4, LONGEST_PROMPT).astype(np.int64)
    answer = np.clip(np.rint(real.output_tokens / SHORTER_ANSWERS), 2, LONGEST_ANSWER).astype(np.int64)
    return replace(real, input_tokens=prompt, output_tokens=answer)
