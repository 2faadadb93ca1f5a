"""A small plan to run: one H100 and one A40, with the A40 group of two copies where it is asked for."""

from dataclasses import replace

import pytest

import cuvee
from cuvee.catalog.offer import Offer, OfferSet
from cuvee.plan.outcome.result import Plan


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Two groups: g1 on an H100, g2 with two copies on A40."""
    kinds = (cuvee.WorkloadType("long", 2000, 20), cuvee.WorkloadType("short", 200, 200))
    offers = OfferSet("here", offers=(
        Offer("H100-SXM", "here", 2.5, stock=1),
        Offer("A40", "here", 0.5, stock=2),
    ), as_of="2026-11-23", source="by hand")  # fmt: skip
    model = cuvee.ModelDemand(cuvee.load_model("llama-3-8b"), cuvee.Demand(kinds, (10.0, 10.0)))
    search = cuvee.SearchOptions(max_pipeline_stages=1, max_mixed_stages=0)
    made = cuvee.plan(cuvee.PlanProblem((model,), offers, cuvee.Limits(3.5), search=search))
    assert [(each.id, each.config.gpu_label, each.copies) for each in made.groups] == [
        ("g1", "1x H100-SXM", 1), ("g2", "1x A40", 2),
    ]  # fmt: skip
    return made


@pytest.fixture(scope="session")
def wide_plan(plan: Plan) -> Plan:
    """The same with tensor parallelism 2 and two uneven stages in g1, and the cache in 8 bit."""
    first = plan.groups[0]
    stages = tuple(replace(first.stages[0], tensor_parallel_size=2, layers=layers) for layers in (17, 15))
    return replace(plan, groups=(replace(first, stages=stages, kv_precision="fp8"), *plan.groups[1:]))
