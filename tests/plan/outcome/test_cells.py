"""Cells of a plan: what is not known is null, not a number."""

import json

from cuvee.plan.outcome.files import load_plan, plan_to_json
from tests.plan.instances import demand, offer, problem, solve_tiny


def test_latencies_that_nobody_knows_are_null(tmp_path):
    """A table of rates alone says nothing of latency. Tempting: 0 s, which is the best there can be."""
    asked = problem([offer("t1", 1.0)], [demand(1.0)], budget=1.0)
    plan = solve_tiny(asked, {"t1": [2.0]}, explain=False)
    (cell,) = plan.groups[0].cells
    assert (cell.ttft_s, cell.tpot_s) == (None, None)
    text = plan_to_json(plan)
    written = json.loads(text)["groups"][0]["cells"][0]
    assert (written["ttft_s"], written["tpot_s"]) == (None, None)
    (tmp_path / "plan.json").write_text(text)
    assert load_plan(tmp_path / "plan.json").groups[0].cells == plan.groups[0].cells
