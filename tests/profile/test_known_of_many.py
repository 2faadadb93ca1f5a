"""Tables of rates and constants beside many replicas kept as arrays."""

from dataclasses import replace

import numpy as np
import pytest

from cuvee.profile import ReplicaConfig, Stage, TableProvider
from cuvee.profile.calibrated import CalibratedProvider, CalibratedReplica
from cuvee.profile.measured import MeasuredRate
from cuvee.profile.replica_arrays import ReplicaArrays
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

MANY = [
    even_config("llama-3-8b", gpu, size, depth, precision)
    for gpu in ("RTX4090", "A40") for size in (1, 2) for depth in (1, 2, 3) for precision in ("bf16", "fp16", "fp8")
] + [ReplicaConfig("llama-3-8b", (Stage("RTX4090", 1, 12), Stage("A40", 2, 20)))]  # fmt: skip
"""Replicas of one model, of one and two GPU types."""


def spoken_of() -> list[TableProvider | CalibratedProvider]:
    """Rates, and constants, of three of `MANY`, of 16 bit also by its other name; and of replicas not among them."""
    one, two = (("RTX4090", 1),), (("A40", 2), ("A40", 2))
    mixed, other, longer = (("RTX4090", 1), ("A40", 2)), (("L40S", 1),), (("A40", 1),) * 4
    cells = ((one, "bf16"), (two, "fp8"), (mixed, "bf16"), (other, "bf16"), (longer, "bf16"), (one, "int4"))
    lines = [
        MeasuredRate("llama-3-8b", stages, (12, 20) if stages == mixed else None, precision, None, None, 496, 18,
                     1.0 + number, 0.05)
        for number, (stages, precision) in enumerate(cells)
    ]  # fmt: skip
    fitted = [
        CalibratedReplica(gpu, "llama-3-8b", precision, "bf16", size, depth, VLLM.name, {"compute": 1.1})
        for gpu, size, depth, precision in (("RTX4090", 1, 1, "bf16"), ("A40", 2, 2, "fp8"), ("A40", 2, 3, "bf16"),
                                            ("L40S", 1, 1, "bf16"))
    ]  # fmt: skip
    strangers = replace(lines[0], model="llama-3-70b"), replace(fitted[0], model="llama-3-70b")
    return [
        TableProvider((*lines, strangers[0])),
        CalibratedProvider((*fitted, strangers[1]), MODELS, GPUS, VLLM),
    ]


@pytest.mark.parametrize("provider", spoken_of(), ids=["measured", "calibrated"])
def test_many_replicas_as_arrays_have_the_rates_of_each(provider, monkeypatch):
    """Rates are those of the records one by one, and only replicas that the table speaks of are made into records: of a
    hundred thousand that would take longer than all estimates.
    """
    kinds, arrays, made = [workload(496, 18), workload(1000, 1000)], ReplicaArrays.of(MANY), []
    one_by_one = provider.table(MANY, kinds)
    at = ReplicaArrays.__getitem__

    def noted(self, index):
        if self is arrays:
            made.append(index)
        return at(self, index)

    monkeypatch.setattr(ReplicaArrays, "__getitem__", noted)
    together = provider.table(arrays, kinds)
    for name in ("rate_req_per_s", "fits", "relative_error", "ttft_s", "source"):
        assert np.array_equal(getattr(together, name), getattr(one_by_one, name)), name
    assert made == np.flatnonzero(together.fits.any(axis=1)).tolist()
    assert len(made) == (4 if isinstance(provider, TableProvider) else 5)
