"""A plan in twelve digits: by them a gateway says which plan it serves, and a check of it whether that is the one."""

import hashlib
import json

from cuvee.plan.outcome.result import Plan

LENGTH = 12
"""Hexadecimal digits [-]."""


def fingerprint(plan: Plan) -> str:
    """Digits that differ where plans are served differently: other groups, copies, prices, types, shares or rates."""
    groups = [
        [group.id, group.model, [[each.gpu, each.tensor_parallel_size, each.layers] for each in group.stages],
         group.copies, group.cost_usd_per_hour, group.phase.value]
        for group in plan.groups
    ]  # fmt: skip
    rows = [
        [row.model, row.workload, row.input_tokens, row.output_tokens, row.demand_req_per_s, sorted(row.shares.items()),
         sorted(row.decode_shares.items())]
        for row in plan.assignment
    ]  # fmt: skip
    text = json.dumps([groups, rows, plan.rate_req_per_s])
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
