"""What a plan file has to be for anything to be done with it: names that exist, shares of a whole, numbers in range.

Whether its figures are right is for `cuvee.plan.check` to tell.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf, isclose, isfinite

from cuvee.catalog.records import MAX_STOCK
from cuvee.errors import InputError
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import AssignmentRow, Group, Plan
from cuvee.plan.question.problem import ModelDemand
from cuvee.plan.solver.program import Termination
from cuvee.profile.phases import Phase
from cuvee.workload.records import MAX_TOKENS_PER_REQUEST, MOST_REQ_PER_S, WorkloadType

SHARE_TOLERANCE = 1e-3
"""How far shares may be from a whole [-]: three digits by hand. `check` is stricter."""

MOST_SHOWN = 8
"""Names that a message lists [-]."""

LEAST_REQ_PER_S = 1e-12
"""Rate below which a replica or a fleet does nothing [req/s]: a request in thirty thousand years."""

WITHOUT_FLEET = (Termination.INFEASIBLE, Termination.NOTHING_FOUND)
REMEDY = "correct the field, or write the file anew: cuvee plan --json"


def require_sound(plan: Plan, where: str) -> None:
    """Refuse what no plan can be.

    Parameters
        where    What stands before the names of fields: "plan.json: ".
    Raises       InputError: names the first field that is out of range, not finite, or of what does not exist.
    """
    if (plan.termination in WITHOUT_FLEET) == plan.has_plan:
        expected = f"{' or '.join(WITHOUT_FLEET)} without groups, and only without"
        raise _refusal(where, "termination", str(plan.termination), f"with {len(plan.groups)} groups", expected)
    _require_number(where, "objective", plan.objective, above_zero=plan.has_plan)
    if plan.has_plan:
        _require_rate(where, "rate_req_per_s", plan.rate_req_per_s)
    _require_number(where, "num_requests", plan.num_requests, above_zero=True)
    _require_number(where, "cost_usd_per_hour", plan.cost_usd_per_hour)
    if plan.makespan_s is not None:
        _require_number(where, "makespan_s", plan.makespan_s, above_zero=True)
    for name in ("bound", "gap"):
        if (value := getattr(plan, name)) is not None and not isfinite(value):
            raise _refusal(where, name, value, "", "a finite number, or null")
    for place, machines in enumerate(plan.machines):
        _require_one_of(where, f"machines.{place}.offer", machines.offer, range(_num_offers(plan)), "offers")
    _require_groups(plan, where)
    if plan.has_plan:
        _require_assignment(plan, where)


def _require_groups(plan: Plan, where: str) -> None:
    entries = {entry.model.name: entry for entry in plan.inputs.problem.models}
    on_offer = {offer.gpu for offer in plan.inputs.problem.offers.offers}
    seen: set[str] = set()
    for place, group in enumerate(plan.groups):
        at = f"{where}groups.{place}."
        if group.id in seen:
            raise _refusal(at, "id", group.id, "a second time", "a name for each group")
        seen.add(group.id)
        _require_one_of(at, "model", group.model, entries, "models of the inputs")
        entry = entries[group.model]
        _require_one_of(at, "precision", group.precision, entry.precisions, "precisions of the inputs")
        _require_one_of(at, "kv_precision", group.kv_precision, (entry.kv_precision,), "cache precisions of the inputs")
        _require_count(at, "copies", group.copies)
        for name in ("price_usd_per_hour", "cost_usd_per_hour", "rate_req_per_s", "utilization"):
            _require_number(at, name, getattr(group, name))
        if not group.stages:
            raise _refusal(at, "stages", "[]", "", "at least one stage")
        for index, stage in enumerate(group.stages):
            _require_one_of(at, f"stages.{index}.gpu", stage.gpu, on_offer, "GPU types on offer")
        for index, part in enumerate(group.rented):
            _require_one_of(at, f"rented.{index}.offer", part.offer, range(_num_offers(plan)), "offers of the inputs")
            _require_count(at, f"rented.{index}.num_gpus", part.num_gpus)
        _require_cells(group, entry, at)
    phases = Counter(group.phase for group in plan.groups)
    if (phases[Phase.PREFILL] > 0) != (phases[Phase.DECODE] > 0):
        place = next(index for index, group in enumerate(plan.groups) if group.phase is not Phase.BOTH)
        phase = plan.groups[place].phase
        other = Phase.DECODE if phase is Phase.PREFILL else Phase.PREFILL
        raise _refusal(where, f"groups.{place}.phase", phase.value, f"and no group of phase {other.value}", "both")


def _require_cells(group: Group, entry: ModelDemand, at: str) -> None:
    names = [kind.name for kind in entry.demand.types]
    if not group.cells:
        raise _refusal(at, "cells", "[]", "", "the rate of at least one workload type")
    for place, cell in enumerate(group.cells):
        _require_one_of(at, f"cells.{place}.workload", cell.workload, names, f"workload types of {group.model}")
        _require_cell(cell, f"{at}cells.{place}.")
    repeated = [name for name, count in Counter(cell.workload for cell in group.cells).items() if count > 1]
    if repeated:
        raise _refusal(at, "cells", repr(repeated[0]), "several times", "one rate for a workload type")
    for place, name in enumerate(group.keeps_to):
        _require_one_of(at, f"keeps_to.{place}", name, names, f"workload types of {group.model}")


def _require_cell(cell: Cell, at: str) -> None:
    _require_rate(at, "rate_req_per_s", cell.rate_req_per_s)
    for name in ("ttft_s", "tpot_s"):
        if (known_s := getattr(cell, name)) is not None:
            _require_number(at, name, known_s, most=inf)
    if cell.relative_error is not None:
        _require_number(at, "relative_error", cell.relative_error)
    if cell.under_load is None:
        return
    _require_rate(at, "under_load.saturated_req_per_s", cell.under_load.saturated_req_per_s)
    for name in ("rate_req_per_s", "ttft_s", "tpot_s", "e2e_s"):
        _require_number(at, f"under_load.{name}", getattr(cell.under_load, name), most=inf)


def _require_assignment(plan: Plan, where: str) -> None:
    """A row for each workload type of the inputs, its requests shared out among groups that have a rate for it."""
    types = {(entry.model.name, kind.name): kind for entry in plan.inputs.problem.models for kind in entry.demand.types}
    of_model = {entry.model.name: [kind.name for kind in entry.demand.types] for entry in plan.inputs.problem.models}
    left = dict.fromkeys(types)
    groups = {group.id: group for group in plan.groups}
    served = {group.id: {cell.workload for cell in group.cells} for group in plan.groups}
    for place, row in enumerate(plan.assignment):
        at = f"{where}assignment.{place}."
        _require_one_of(at, "model", row.model, of_model, "models of the inputs")
        _require_one_of(at, "workload", row.workload, of_model[row.model], f"workload types of {row.model}")
        if (row.model, row.workload) not in left:
            raise _refusal(at, "workload", repr(row.workload), "a second time", "a row for each workload type")
        del left[row.model, row.workload]
        _require_lengths(row, types[row.model, row.workload], at)
        _require_number(at, "demand_req_per_s", row.demand_req_per_s, above_zero=True, most=MOST_REQ_PER_S)
        if row.load_factor is not None:
            _require_number(at, "load_factor", row.load_factor, most=MOST_REQ_PER_S)
        for name, shares in (("shares", row.shares), ("decode_shares", row.decode_shares)):
            for group, share in shares.items():
                _require_one_of(at, f"{name}, group", group, groups, "groups of the plan")
                _require_number(at, f"{name}.{group}", share, most=1 + SHARE_TOLERANCE)
                if share > 0 and (groups[group].model != row.model or row.workload not in served[group]):
                    arrived = f"of {row.workload} of {row.model}, for which {group} has no rate"
                    raise _refusal(at, f"{name}.{group}", share, arrived, "shares of groups that have a cell for it")
        _require_whole(row, groups, plan.load_factor_of(row) > 0, at)
    if left:
        model, name = next(iter(left))
        found = f"{len(plan.assignment)} rows, none for {name!r} of {model!r}"
        raise _refusal(where, "assignment", found, "", "a row for each workload type of the inputs")


def _require_lengths(row: AssignmentRow, kind: WorkloadType, at: str) -> None:
    for name in ("input_tokens", "output_tokens"):
        for figure, place in ((getattr(row, name), at), (getattr(kind, name), f"{at}{name}: in the inputs, ")):
            if kind.lengths_known:
                _require_number(place, name, figure, above_zero=True, most=MAX_TOKENS_PER_REQUEST)
            elif figure != 0:
                raise _refusal(place, name, figure, "", f"0: the inputs do not know the lengths of {row.workload}")


def _require_whole(row: AssignmentRow, groups: Mapping[str, Group], is_served: bool, at: str) -> None:
    total = sum(row.shares.values())
    if not isclose(total, 1.0 if is_served else 0.0, abs_tol=SHARE_TOLERANCE):
        expected = "1, all requests of the type" if is_served else "0, as its load factor says"
        raise _refusal(at, "shares", f"{_shown(row.shares)}, which sum to {total:g}", "", expected)
    for name, shares, wrong in (("shares", row.shares, Phase.DECODE), ("decode_shares", row.decode_shares, None)):
        for group in shares:
            phase = groups[group].phase
            if phase is wrong or (wrong is None and phase is not Phase.DECODE):
                expected = "groups of phase decode in decode_shares, and only there"
                raise _refusal(at, f"{name}.{group}", shares[group], f"of a group of phase {phase}", expected)
    sent = sum(share for group, share in row.shares.items() if groups[group].phase is Phase.PREFILL)
    decoded = sum(row.decode_shares.values())
    if not isclose(sent, decoded, abs_tol=SHARE_TOLERANCE):
        expected = f"{sent:g}, what groups of phase prefill have of the type"
        raise _refusal(at, "decode_shares", f"{_shown(row.decode_shares)}, which sum to {decoded:g}", "", expected)


def _require_number(at: str, name: str, value: float, *, above_zero: bool = False, most: float | None = None) -> None:
    """A number from 0 to `most`; None: any that is finite."""
    if value >= 0 and (value > 0 or not above_zero) and (isfinite(value) if most is None else value <= most):
        return
    least = "above 0" if above_zero else "of at least 0"
    upper = "" if most is None or most == inf else f", {most:,.12g} at most"
    raise _refusal(at, name, value, "", f"a {'finite ' if most is None else ''}number {least}{upper}")


def _require_rate(at: str, name: str, value: float) -> None:
    if not LEAST_REQ_PER_S <= value <= MOST_REQ_PER_S:
        raise _refusal(at, name, value, "", f"a rate from {LEAST_REQ_PER_S:g} to {MOST_REQ_PER_S:g} req/s")


def _require_count(at: str, name: str, value: int) -> None:
    if not 1 <= value <= MAX_STOCK:
        raise _refusal(at, name, value, "", f"a whole number from 1 to {MAX_STOCK:,}")


def _require_one_of(at: str, name: str, value: str | int, known: Iterable[str | int], of_what: str) -> None:
    if value not in (known if isinstance(known, range) else set(known)):
        names = sorted(map(str, known))
        shown = ", ".join(names[:MOST_SHOWN]) + (f" and {len(names) - MOST_SHOWN} more" if names[MOST_SHOWN:] else "")
        listed = f"0 to {known.stop - 1}" if isinstance(known, range) else shown
        raise _refusal(at, name, repr(value), "", f"one of the {of_what}: {listed}")


def _refusal(at: str, name: str, value: object, note: str, expected: str) -> InputError:
    return InputError(f"{at}{name} = {value}{f' {note}' if note else ''}", expected=expected, remedy=REMEDY)


def _shown(shares: Mapping[str, float]) -> str:
    return "{" + ", ".join(f"{name}: {share:g}" for name, share in list(shares.items())[:MOST_SHOWN]) + "}"


def _num_offers(plan: Plan) -> int:
    return len(plan.inputs.problem.offers.offers)
