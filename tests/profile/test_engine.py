"""Engine settings: senseless ones are refused by name."""

from dataclasses import replace
from math import inf, nan

import pytest

from cuvee.errors import InputError
from cuvee.profile.engine import ENGINES, unknown_version
from tests.profile.setups import VLLM


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("unhidden_share", 1.0),
        ("unhidden_share", -0.1),
        ("dequantized_efficiency", 0.0),
        ("dequantized_efficiency", 1.1),
        ("compute_derate", {"Hopper": 0.0}),
        ("compute_derate", {"Hopper": 1.2}),
        ("compute_ceiling", {"Ada": -1.0}),
        ("held_up_share", 1.5),
        ("recomputed_share", -1.0),
        ("relative_error", -0.1),
        ("relative_error", nan),
        ("step_overhead_s", -1e-3),
        ("sequence_overhead_s", inf),
        ("scheduling_s", -1e-9),
        ("collective_latency_s", nan),
        ("hop_latency_s", -1.0),
        ("element_bytes", -1.0),
        ("bubble_per_stage", -0.1),
        ("reserved_gb", -1.0),
        ("activation_copies", -1.0),
        ("pcie_gb_per_s", 0.0),
        ("large_gpu_limits", (0, 8192)),
        ("max_req_per_s", 0.0),
        ("memory_utilization", 1.1),
    ],
)
def test_senseless_settings_are_refused(label, value):
    """Shares beyond their range, negative times, what is no number. An unhidden share of 1 divided by zero later on."""
    with pytest.raises(InputError, match=label):
        replace(VLLM, **{label: value})


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_every_engine_can_be_made_anew(engine):
    """The settings that are embedded pass, and those with no time for anything do."""
    assert replace(engine, step_overhead_s=0.0, relative_error=0.0, held_up_share=0.0).name == engine.name


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("vllm", "banana", "version 'banana' of vllm is unknown: the settings of vllm-0.11 stand in"),
        ("vllm", "", ""),
        ("vllm", "0.11.2", ""),
        ("my-engine", "banana", ""),
    ],
)
def test_a_version_that_says_nothing_is_told(name, version, told):
    """Settings stand in for it, which nobody said; an engine that is not known is told elsewhere."""
    assert unknown_version(name, version) == told
