"""A plan in twelve digits: by them a gateway says which plan it serves, and a check of it whether that is the one."""

import hashlib
import json
from collections.abc import Mapping

from cuvee.plan.outcome.result import Plan

LENGTH = 12
"""Hexadecimal digits [-]."""


def fingerprint(plan: Plan) -> str:
    """Digits that differ where plans are served differently: other groups, copies, prices, types, shares or rates."""
    groups = [
        [group.id, group.model, [[each.gpu, each.tensor_parallel_size, each.layers] for each in group.stages],
         group.copies, float(group.cost_usd_per_hour), group.phase.value]
        for group in plan.groups
    ]  # fmt: skip
    rows = [
        [row.model, row.workload, float(row.input_tokens), float(row.output_tokens), float(row.demand_req_per_s),
         _numbers(row.shares), _numbers(row.decode_shares)]
        for row in plan.assignment
    ]  # fmt: skip
    text = json.dumps([groups, rows, float(plan.rate_req_per_s)])
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _numbers(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    """In one order and one form: a file has 1 and 1.0 alike."""
    return sorted((name, float(share)) for name, share in shares.items())
