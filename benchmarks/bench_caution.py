"""Robust plans: what the worst of 20 draws, and fresh draws, leave of a fleet, by how the fleet was chosen.

Four questions: the embedded one, market offers, least cost, and the embedded one for what the robust answer to the
third costs. Each is planned by the estimates, by `--robust 20`, and by 20 draws in which configurations have errors of
their own as well, as `--stress` draws them. For each fleet: what it sustains by the estimates, in the worst of the 20
draws of `--robust`, and the 5th percentile and worst of 2,000 fresh draws of `--stress` without lost hosts.

Run: make bench, or python benchmarks/bench_caution.py. Writes benchmarks/results/caution.json.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np

from cuvee.plan.evaluation.draws import error_normals, opposite_normals
from cuvee.plan.evaluation.stress import stress, worst_draw_req_per_s
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.caution import Caution
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from cuvee.plan.search import robust_cases
from harness import Stopwatch, describe_machine, write_results

DRAWS = 20
FRESH_SEEDS = (101, 102)
FRESH_DRAWS = 1000
QUESTIONS: dict[str, dict[str, Any]] = {
    "embedded, 30 $/h": {"budget_usd_per_hour": 30.0, "search": {"relative_gap": 0.005}},
    "market offers, 20 $/h": {"offers": "market", "budget_usd_per_hour": 20.0, "search": {"relative_gap": 0.01}},
    "8 req/s at least cost": {"objective": "cost", "rate_req_per_s": 8.0, "search": {"relative_gap": 0.005}},
}
"""Scenarios by name; of the last the robust answer's cost is the budget of one more."""


@dataclass(frozen=True)
class Row:
    """One fleet; rates in req/s."""

    question: str
    chosen_by: str
    cost_usd_per_hour: float
    estimated: float
    worst_of_20: float
    fresh_percentile_5: float
    fresh_worst: float
    gpus: dict[str, int]
    seconds: float


def measure(question: str, scenario: dict[str, Any], chosen_by: str, num_draws: int) -> Row:
    """Plan `scenario` and take its fleet through the draws."""
    caution = {"robust_draws": num_draws}
    prepared = prepare_scenario(parse_scenario({**scenario, "caution": caution}, where=question))
    with Stopwatch() as watch:
        plan = plan_prepared(prepared, explain=False)
    fresh = [
        stress(under(plan, Caution(seed=seed, host_loss_chance=0.0)), num_draws=FRESH_DRAWS).rebalanced.rate_req_per_s
        for seed in FRESH_SEEDS
    ]
    return Row(
        question,
        chosen_by,
        plan.cost_usd_per_hour,
        plan.rate_req_per_s,
        worst_draw_req_per_s(under(plan, Caution(robust_draws=DRAWS))),
        float(np.mean([each.percentile_5 for each in fresh])),
        min(each.worst for each in fresh),
        plan.gpu_counts,
        watch.seconds,
    )


def under(plan: Plan, caution: Caution) -> Plan:
    """The fleet of `plan` under other draws."""
    return replace(plan, inputs=replace(plan.inputs, problem=replace(plan.inputs.problem, caution=caution)))


def measured(question: str, scenario: dict[str, Any]) -> list[Row]:
    """The fleets that answer one question, each chosen in another way."""
    rows = []
    for chosen_by, num_draws, draw in (
        ("estimates", 0, opposite_normals),
        (f"--robust {DRAWS}", DRAWS, opposite_normals),
        (f"{DRAWS} draws with own errors", DRAWS, error_normals),
    ):
        with patch.object(robust_cases, "opposite_normals", draw):
            row = measure(question, scenario, chosen_by, num_draws)
        print(
            f"{row.question:22} {row.chosen_by:26} {row.cost_usd_per_hour:6.2f} $/h, estimated "
            f"{row.estimated:6.2f}, worst of {DRAWS} {row.worst_of_20:6.2f}, fresh 5 % "
            f"{row.fresh_percentile_5:6.2f}, worst {row.fresh_worst:6.2f} req/s; {row.seconds:5.1f} s",
            flush=True,
        )
        rows.append(row)
    return rows


def main() -> None:
    """Measure every fleet and write the results."""
    rows = [row for question, scenario in QUESTIONS.items() for row in measured(question, scenario)]
    budget = round(rows[-2].cost_usd_per_hour, 2)
    rows += measured(f"embedded, {budget:.2f} $/h", {"budget_usd_per_hour": budget, "search": {"relative_gap": 0.005}})
    write_results("caution", {"machine": describe_machine(), "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
