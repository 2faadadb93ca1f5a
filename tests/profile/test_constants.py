"""The constants that points may correct: each moves some rate of the replicas it is fitted for."""

from itertools import pairwise

import numpy as np
import pytest

from cuvee.profile import AnalyticProvider, EngineSettings, find_engine
from cuvee.profile.constants import NAMES, touches, tuned
from tests.profile.setups import GPUS, MODELS, even_config, workload

KINDS = [workload(100, 100), workload(2000, 20), workload(300, 1500), workload(30_000, 2000), workload(20, 1)]
"""Short and long prompts and answers, such that the cache is the limit, and such that the server process is."""


def rates(model: str, gpu: str, engine: EngineSettings, size: int = 1, depth: int = 1, **constants: float):
    """Rates of a replica on `KINDS` with `constants` [req/s]."""
    config = even_config(model, gpu, size, depth)
    corrected = tuned(MODELS[model], config, GPUS[gpu], engine, constants)
    provider = AnalyticProvider(MODELS, {gpu: corrected.gpu}, corrected.engine)
    return provider.table([config], KINDS).rate_req_per_s[0] * corrected.overall


@pytest.mark.parametrize(("size", "depth"), [(1, 1), (4, 1), (1, 5), (2, 2)])
@pytest.mark.parametrize("gpu", ["RTXPRO6000-Server", "H100-PCIe", "L40S", "A100-80GB-SXM"])
@pytest.mark.parametrize("engine", ["vllm-0.11", "vllm-0.19"])
def test_every_constant_that_touches_a_replica_moves_some_of_its_rates(engine, gpu, size, depth):
    """Faster and slower by 10 %: on some kind of requests each tells. Tempting: the link rate of the data sheet alone,
    which hides behind what vLLM 0.19 reaches over PCIe at most. Five stages, for the last of four even ones, which
    sends nothing, is the slowest by its head.
    """
    settings, touched = find_engine(engine), touches(even_config("llama-3.1-8b", gpu, size, depth))
    before = rates("llama-3.1-8b", gpu, settings, size, depth)
    for name, is_touched in zip(NAMES, touched, strict=True):
        up, down = (rates("llama-3.1-8b", gpu, settings, size, depth, **{name: factor}) for factor in (1.1, 1 / 1.1))
        moves = bool(np.any(np.abs(up - before) > 1e-9)), bool(np.any(np.abs(down - before) > 1e-9))
        assert moves == (is_touched, is_touched), name


def test_links_count_behind_the_cap_over_pcie():
    """70B on four cards that reach 16 GB/s of more: links 0.6 to 3 times as fast serve ever more."""
    engine = find_engine("vllm-0.19")
    for gpu in ("RTXPRO6000-Server", "H100-PCIe", "L40S"):
        found = [rates("llama-3-70b", gpu, engine, 4, links=links)[0] for links in (0.6, 0.8, 1.0, 1.03, 3.0)]
        assert all(slow < fast * 0.999 for slow, fast in pairwise(found)), gpu


def test_starts_of_collectives_count_in_saturated_batches():
    """70B on four NVLink GPUs runs rings of all-reduces: five times slower starts cost over a tenth of the rate."""
    engine = find_engine("vllm-0.11")
    before, slow = (rates("llama-3-70b", "A100-80GB-SXM", engine, 4, collective_start=value)[0] for value in (1, 0.2))
    assert slow < 0.9 * before


def test_what_a_replica_lacks_touches_nothing():
    """One GPU has no links; a pipeline of single GPUs has links and bubbles, and no all-reduces."""
    absent = [
        {name for name, is_touched in zip(NAMES, touches(even_config("llama-3.1-8b", "L40S", *sizes)), strict=True)
         if not is_touched}
        for sizes in ((1, 1), (2, 1), (1, 2), (2, 2))
    ]  # fmt: skip
    assert absent == [{"links", "collective_start", "pipeline"}, {"pipeline"}, {"collective_start"}, set()]
