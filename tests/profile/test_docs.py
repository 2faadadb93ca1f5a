"""The page on the throughput model states what the code computes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.profile import doc_tables, latency_comparison, saturation_comparison
from tests.profile.public_figures import COLLECTION
from tests.profile.setups import GPUS, PAPER_LENGTHS, VLLM, best_per_gpu, leader

LATENCY_PAGE = Path(__file__).parents[2] / "docs" / "latency.md"
PAGE = Path(__file__).parents[2] / "docs" / "throughput-model.md"


@pytest.mark.parametrize(
    "table",
    [
        doc_tables.constants_table,
        lambda: doc_tables.requests_per_dollar_table("llama-3-70b"),
        lambda: doc_tables.requests_per_dollar_table("llama-3-8b"),
        doc_tables.ablation_table,
        saturation_comparison.saturation_table,
    ],
    ids=["constants", "70b", "8b", "ablation", "saturation"],
)
def test_the_page_shows_what_is_computed(table: Callable[[], str]):
    """Constants, requests per dollar, the ablation and what full replicas lose stand there as computed."""
    assert table() in PAGE.read_text(encoding="utf-8")


def test_the_page_on_latency_shows_the_comparison():
    """The latency curve over the event simulation, as computed."""
    assert latency_comparison.comparison_table() in LATENCY_PAGE.read_text(encoding="utf-8")


@pytest.mark.skipif(
    not COLLECTION.is_file(),
    reason="the collection of public figures (measured_throughput.csv) is not beside this checkout",
)
def test_the_page_shows_the_errors_measured():
    """Errors against public figures stand there as measured."""
    assert doc_tables.error_table() in PAGE.read_text(encoding="utf-8")


def test_without_the_six_effects_the_h100_leads_everywhere():
    """The naive roofline has the H100 ahead for Llama-3 70B on all nine types."""
    changes = {key: value for case in doc_tables.ABLATIONS.values() for key, value in case.items()}
    unlimited = {name: replace(gpu, tdp_w=None) for name, gpu in GPUS.items()}
    best = best_per_gpu("llama-3-70b", replace(VLLM, **changes), unlimited)  # type: ignore[arg-type]
    assert {leader(best, lengths) for lengths in PAPER_LENGTHS} == {"H100-SXM"}
