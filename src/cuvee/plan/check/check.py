"""`check`: recompute what a plan claims, without the program it was solved as.

Only what draws and losses leave of a fleet takes a solver: a small linear program over the plan's groups alone
(`cuvee.plan.evaluation.evaluation`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isclose

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import load_gpu_types
from cuvee.catalog.offer import Offer
from cuvee.errors import DoesNotFitError
from cuvee.plan.candidates.placement import host_gpus, spans_machines, usable_gpus
from cuvee.plan.check.aim import check_aim, weighted_rate
from cuvee.plan.check.caps import over_caps
from cuvee.plan.check.latency import check_latency
from cuvee.plan.check.machines import check_machines, has_machines
from cuvee.plan.check.moves import moves_usd_per_hour
from cuvee.plan.check.phases import check_phases
from cuvee.plan.check.rates import TOLERANCE, check_rates, same
from cuvee.plan.check.risk import check_risk
from cuvee.plan.check.sources import check_sources, has_sources
from cuvee.plan.check.steps import check_steps
from cuvee.plan.evaluation.stress import stress, worst_draw_req_per_s
from cuvee.plan.outcome.result import Group, Plan, RentedGpus, makespan_s
from cuvee.plan.question.aim import Serve
from cuvee.plan.question.problem import ModelDemand, Objective
from cuvee.plan.question.risk import Risk
from cuvee.plan.solver.program import Termination
from cuvee.profile.memory import require_fit
from cuvee.profile.phases import Phase

TIE_BREAK_GAP = 5e-5
"""What the price on money that breaks ties may leave unproven [-]."""


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes
        passed        Names of the checks that hold.
        violations    One line each: the check, what the plan says, what it should.
    """

    passed: tuple[str, ...]
    violations: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the plan keeps every promise."""
        return not self.violations

    def summary(self) -> str:
        """Every violation, or one line that says what was checked."""
        if self.ok:
            return f"ok: {', '.join(self.passed)}"
        return "\n".join(f"violated: {line}" for line in self.violations)


def check(plan: Plan, *, gpus: Mapping[str, GpuType] | None = None) -> CheckReport:
    """Recompute budget, stock, caps, shape, memory, rates, assignment, load and proof of `plan`.

    Parameters
        gpus    GPU types by name; the catalogue and those that the plan holds where None.
    Notes       Rates are recomputed from the analytic model and the lines of throughput tables that the plan holds. Of
                a provider of one's own it holds none, so for its rates only the naming is checked; the bound stands on
                the solver's word.
    """
    catalogue = {**load_gpu_types(), **{gpu.name: gpu for gpu in plan.inputs.gpus}} if gpus is None else gpus
    unknown = tuple(f"names: {line}" for line in _check_names(plan, catalogue))
    if unknown:  # nothing else can be recomputed
        return CheckReport((), unknown)
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "money": lambda: _check_money(plan),
        "stock": lambda: _check_stock(plan),
        "caps": lambda: _check_caps(plan),
        "replicas": lambda: _check_replicas(plan),
        "memory": lambda: _check_memory(plan, catalogue),
        "rates": lambda: check_rates(plan, catalogue),
        "assignment": lambda: _check_assignment(plan),
        "load": lambda: _check_load(plan),
        "proof": lambda: _check_proof(plan),
    }
    if has_sources(plan):
        checks["sources"] = lambda: check_sources(plan)
    if has_machines(plan):
        checks["machines"] = lambda: check_machines(plan)
    if plan.moves is not None:
        checks["moves"] = lambda: check_steps(plan, catalogue)
    if any(entry.latency is not None for entry in plan.inputs.problem.models):
        checks["latency"] = lambda: check_latency(plan, catalogue)
    if plan.inputs.problem.disaggregate or any(group.phase is not Phase.BOTH for group in plan.groups):
        checks["phases"] = lambda: check_phases(plan)
    passed: list[str] = []
    violations: list[str] = []
    if plan.has_plan and (plan.inputs.problem.risk != Risk() or plan.losses):
        checks["risk"] = lambda: check_risk(plan)
    for name, run in checks.items():
        if name == "risk" and not {"rates", "assignment"} <= set(passed):
            continue  # without rates, or shares of types and groups that there are, no loss can be played
        found = [f"{name}: {line}" for line in run()]
        violations += found
        if not found:
            passed.append(name)
    drawn = plan.stress is not None or plan.inputs.problem.caution.robust_draws > 0
    if drawn and plan.has_plan and not violations:  # a plan that is wrong elsewhere may well serve nothing
        violations = [f"draws: {line}" for line in _check_draws(plan)]
        passed += [] if violations else ["draws"]
    return CheckReport(("names", *passed), tuple(violations))


def _offers(plan: Plan) -> tuple[Offer, ...]:
    return plan.inputs.problem.offers.offers


def _entries(plan: Plan) -> dict[str, ModelDemand]:
    return {entry.model.name: entry for entry in plan.inputs.problem.models}


def _gpus_on_offer(plan: Plan) -> dict[int, int]:
    used: dict[int, int] = {}
    for group in plan.groups:
        for part in group.rented:
            used[part.offer] = used.get(part.offer, 0) + part.num_gpus * group.copies
    return used


def _check_names(plan: Plan, gpus: Mapping[str, GpuType]) -> Iterator[str]:
    """Every model, precision, GPU type and offer that the plan names is one of its inputs."""
    entries = _entries(plan)
    indices = range(len(_offers(plan)))
    repeated = [name for name, count in Counter(group.id for group in plan.groups).items() if count > 1]
    yield from (f"several groups are called {name}" for name in repeated)
    for group in plan.groups:
        if group.model not in entries:
            yield f"{group.id} serves {group.model}, which is not asked for"
            continue
        entry = entries[group.model]
        if group.precision not in entry.precisions or group.kv_precision != entry.kv_precision:
            asked = f"{' or '.join(entry.precisions)} with {entry.kv_precision}"
            yield f"{group.id} is in {group.precision} with a {group.kv_precision} cache, not in {asked}"
        yield from (f"{group.id} stands on unknown {gpu}" for gpu in group.config.gpu_counts if gpu not in gpus)
        yield from (f"{group.id} rents offer {part.offer}" for part in group.rented if part.offer not in indices)
    yield from (f"machines of offer {each.offer}" for each in plan.machines if each.offer not in indices)


def _check_money(plan: Plan) -> Iterator[str]:
    offers, used = _offers(plan), _gpus_on_offer(plan)
    total = 0.0
    for machine in plan.machines:
        offer = offers[machine.offer]
        idle = machine.units * offer.num_gpus - used.get(machine.offer, 0)
        idle_cost = idle * offer.price_usd_per_gpu_hour
        stated = (machine.cost_usd_per_hour, machine.idle_cost_usd_per_hour)
        if machine.idle_gpus != idle or not all(
            same(*pair) for pair in zip(stated, (machine.units * offer.price_usd_per_hour, idle_cost), strict=True)
        ):
            yield f"{machine.units} machines of {offer.label} leave {idle} GPUs idle at {idle_cost:.4f} $/h"
        total += idle_cost
    for group in plan.groups:
        price = sum(part.num_gpus * offers[part.offer].price_usd_per_gpu_hour for part in group.rented)
        if not same(price, group.price_usd_per_hour):
            yield f"{group.id} costs {price:.4f} $/h a replica, not {group.price_usd_per_hour:.4f}"
        if not same(price * group.copies, group.cost_usd_per_hour):
            yield f"{group.id} costs {price * group.copies:.4f} $/h, not {group.cost_usd_per_hour:.4f}"
        total += price * group.copies
    if not same(total, plan.cost_usd_per_hour):
        yield f"the fleet costs {total:.4f} $/h, not {plan.cost_usd_per_hour:.4f}"
    budget = plan.inputs.problem.limits.budget_usd_per_hour
    moves = moves_usd_per_hour(plan) if plan.has_plan else 0.0
    if budget is not None and total + moves > budget * (1 + TOLERANCE):
        moving = f" and the way to it {moves:.4f}" if moves else ""
        yield f"the fleet costs {total:.4f} $/h{moving}, above the budget of {budget:.4f}"


def _check_stock(plan: Plan) -> Iterator[str]:
    offers, used = _offers(plan), _gpus_on_offer(plan)
    units: Counter[int] = Counter()
    for machine in plan.machines:
        units[machine.offer] += machine.units
        if machine.units < 1 or machine.num_gpus != offers[machine.offer].num_gpus:
            yield f"{machine.units} machines of {machine.num_gpus} GPUs from {offers[machine.offer].label}"
        if machine.label != offers[machine.offer].label:
            yield f"machines of {machine.label}, the offer is {offers[machine.offer].label}"
    for index, count in used.items():
        offer, usable = offers[index], usable_gpus(offers[index])
        if count > offer.max_units * usable:
            yield f"{count} GPUs of {offer.label}, in stock {offer.max_units * usable} that groups can use"
        if offer.num_gpus > 1 and count > units[index] * usable:
            yield f"{count} GPUs of {offer.label} in {units[index]} machines of which groups fill {usable} GPUs each"
    for index, rented in units.items():
        if rented > offers[index].max_units:
            yield f"{rented} machines of {offers[index].label}, in stock {offers[index].max_units}"


def _check_caps(plan: Plan) -> Iterator[str]:
    offers = _offers(plan)
    rented = _gpus_on_offer(plan)
    rented.update({machine.offer: machine.units * offers[machine.offer].num_gpus for machine in plan.machines})
    money = {index: count * offers[index].price_usd_per_gpu_hour for index, count in rented.items()}
    yield from over_caps(plan.inputs.problem.limits, offers, rented, money)


def _check_replicas(plan: Plan) -> Iterator[str]:
    entries = _entries(plan)
    for group in plan.groups:
        model = entries[group.model].model
        if group.copies < 1:
            yield f"{group.id} has {group.copies} replicas"
        if group.config.num_layers != model.num_layers:
            yield f"{group.id} holds {group.config.num_layers} of {model.num_layers} layers"
        for stage in group.stages:
            size = stage.tensor_parallel_size
            if model.num_heads % size:
                yield f"{group.id}: TP{size} does not divide {model.num_heads} heads"
            elif model.num_kv_heads % size and size % model.num_kv_heads:
                yield f"{group.id}: TP{size} does not map onto {model.num_kv_heads} KV heads"
        yield from _check_placement(group, _offers(plan))


def _check_placement(group: Group, offers: tuple[Offer, ...]) -> Iterator[str]:
    taken: dict[str, int] = {}
    for part in group.rented:
        taken[offers[part.offer].gpu] = taken.get(offers[part.offer].gpu, 0) + part.num_gpus
    if taken != group.config.gpu_counts:
        yield f"{group.id} is deployed on {group.config.gpu_counts} and rents {taken}"
    for part in group.rented:
        offer = offers[part.offer]
        count = max(part.num_gpus, 1)
        date = offer.as_of if part.as_of else ""  # older files have no date here
        stated = RentedGpus(part.offer, offer.label, offer.gpu, offer.seller, offer.region, count, offer.spot, date)
        if part != stated:
            told = [
                f"{part_of.num_gpus} x {part_of.gpu} of {part_of.label} ({part_of.seller}, {part_of.region}"
                f"{', spot' if part_of.spot else ''}{f', {part_of.as_of}' if part_of.as_of else ''})"
                for part_of in (part, stated)
            ]
            yield f"{group.id} says it rents {told[0]}, the offer says {told[1]}"
    standing = [offers[part.offer] for part in group.rented]
    places = {(offer.seller, offer.region, offer.zone) for offer in standing}
    if len(places) > 1:
        yield f"{group.id} spans {sorted(places)}: its GPUs cannot reach each other"
    if len({offer.spot for offer in standing}) > 1:
        yield f"{group.id} mixes spot and on-demand GPUs"
    if group.rented and group.spans_machines != spans_machines(
        [(offers[part.offer], part.num_gpus) for part in group.rented]
    ):
        yield f"{group.id} {'spans' if group.spans_machines else 'does not span'} machines, its GPUs say otherwise"
    largest = {offer.gpu: host_gpus(offer) for offer in standing}
    for stage in group.stages:
        if stage.tensor_parallel_size > largest.get(stage.gpu, 0):
            yield f"{group.id}: TP{stage.tensor_parallel_size} on a host of {largest.get(stage.gpu, 0)} {stage.gpu}"


def _check_memory(plan: Plan, gpus: Mapping[str, GpuType]) -> Iterator[str]:
    models = {name: entry.model for name, entry in _entries(plan).items()}
    for group in plan.groups:
        if not models[group.model].shape_known:  # what ran is believed to fit
            continue
        assigned = [row for row in plan.assignment if row.share_of(group) > 0]
        longest = max((row.input_tokens + row.output_tokens for row in assigned), default=0.0)
        held = max((row.input_tokens for row in assigned), default=0.0) if group.phase is Phase.PREFILL else longest
        try:
            require_fit(models[group.model], group.config, gpus, plan.inputs.engine, held)
        except DoesNotFitError as error:
            yield f"{group.id}: {error}".splitlines()[0]
        if longest > models[group.model].max_context:
            yield f"{group.id} gets {longest:.0f} tokens per request, above {models[group.model].max_context}"


def _check_assignment(plan: Plan) -> Iterator[str]:
    model_of = {group.id: group.model for group in plan.groups}
    for row in plan.assignment:
        total = sum(row.shares.values())
        if not isclose(total, 1.0 if plan.load_factor_of(row) > 0 else 0.0, abs_tol=TOLERANCE):
            yield f"{row.model} {row.workload}: shares sum to {total:.6f}, not 1"
        for name, share in row.shares.items():
            if model_of.get(name) != row.model or not 0 <= share <= 1 + TOLERANCE:
                yield f"{row.model} {row.workload}: share {share:g} to {name} of {model_of.get(name)}"
    problem = plan.inputs.problem
    asked = [
        (entry.model.name, kind.name, (kind.input_tokens, kind.output_tokens, rate))
        for entry, rates in zip(problem.models, problem.rates_req_per_s, strict=True)
        for kind, rate in zip(entry.demand.types, rates, strict=True)
    ]
    if not plan.has_plan:
        return
    if [(row.model, row.workload) for row in plan.assignment] != [each[:2] for each in asked]:
        yield "the assignment does not cover the types of the inputs"
        return
    for row, (model, name, figures) in zip(plan.assignment, asked, strict=True):
        stated = (row.input_tokens, row.output_tokens, row.demand_req_per_s)
        if not all(same(*pair) for pair in zip(stated, figures, strict=True)):
            yield f"{model} {name}: {stated} prompt and answer tokens and req/s, asked for are {figures}"


def _check_load(plan: Plan) -> Iterator[str]:
    """sum_w x_cw theta lambda_w / h_cw <= y_c for every group."""
    for group in plan.groups:
        rate_of = {cell.workload: cell.rate_req_per_s for cell in group.cells}
        busy = served = 0.0
        for row in plan.assignment:
            share = row.share_of(group)
            if row.model != group.model:
                continue
            if share > 0 and not rate_of.get(row.workload, 0.0) > 0:
                yield f"{group.id} gets {row.workload} and has no rate for it"
            elif share > 0:
                served += share * plan.load_factor_of(row) * row.demand_req_per_s
                busy += share * plan.load_factor_of(row) * row.demand_req_per_s / rate_of[row.workload]
        if not same(served, group.rate_req_per_s):
            yield f"{group.id} serves {served:.6g} req/s, not {group.rate_req_per_s:.6g}"
        if not same(busy, group.utilization * group.copies):
            yield f"{group.id} is busy {busy / (group.copies or 1):.6f} of the time, not {group.utilization:.6f}"
        if busy > group.copies * (1 + TOLERANCE):
            yield f"{group.id} would be busy {busy:.4f} of {group.copies} replicas"
    yield from check_aim(plan)


def _check_proof(plan: Plan) -> Iterator[str]:
    if not plan.has_plan:
        return
    asked = plan.inputs.problem
    if plan.objective_name is not asked.objective or not same(plan.num_requests, asked.num_requests):
        yield f"{plan.objective_name} for {plan.num_requests:g} requests, which is not what was asked"
    if not (0 < plan.rate_req_per_s < inf and 0 < plan.objective < inf):
        yield f"objective {plan.objective:.6g} at {plan.rate_req_per_s:.6g} req/s: both must be above 0"
        return
    yield from _check_objective(plan)
    if plan.misses_draws and plan.stopped_by is not None and plan.bound is not None:
        yield f"bound {plan.bound:.6g} of a plan that misses draws, where those that do not may cost more"
    if plan.bound is None:
        if plan.termination is Termination.OPTIMAL or plan.gap is not None:
            yield f"{plan.termination} with gap {plan.gap} and no bound"
        return
    ahead = plan.bound - plan.objective if plan.objective_name is Objective.THROUGHPUT else plan.objective - plan.bound
    gap = ahead / abs(plan.objective)
    if gap < -TOLERANCE:
        yield f"objective {plan.objective:.6g} is better than the bound {plan.bound:.6g}"
    if plan.gap is None or not isclose(max(gap, 0.0), plan.gap, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        yield f"bound {plan.bound:.6g} and objective {plan.objective:.6g} are {gap:.2e} apart, not {plan.gap}"
    allowed = asked.search.relative_gap
    if plan.termination is Termination.OPTIMAL and gap > allowed * (1 + 1e-3) + TIE_BREAK_GAP:
        yield f"gap {gap:.2e} where optimal means {allowed:.2e}"


def _check_objective(plan: Plan) -> Iterator[str]:
    """The objective and the makespan are those of the rates and the money."""
    asked = plan.inputs.problem
    makespan = makespan_s(asked, plan.load_factor)
    if asked.aim.serve is Serve.MIX and (plan.makespan_s is None or not same(plan.makespan_s, makespan)):
        yield f"makespan {plan.makespan_s} s at {plan.rate_req_per_s:.6g} req/s, where it is {makespan:.6g} s"
    if asked.aim.serve is not Serve.MIX and plan.makespan_s is not None:
        yield f"makespan {plan.makespan_s} s of what is served apart"
    if not asked.caution.robust_draws and plan.worst_draw_req_per_s is not None:
        yield f"worst draw {plan.worst_draw_req_per_s} req/s, and no draws were asked for"
    spent = plan.cost_usd_per_hour + moves_usd_per_hour(plan)
    value = weighted_rate(plan) if plan.objective_name is Objective.THROUGHPUT else spent
    if plan.objective_name is Objective.THROUGHPUT and asked.caution.robust_draws:
        value = plan.worst_draw_req_per_s or 0.0
    if not same(value, plan.objective):
        yield f"objective {plan.objective:.6g} where the plan gives {value:.6g}"


def _check_draws(plan: Plan) -> Iterator[str]:
    """The same draws again: whoever has the plan and its seed has the figures."""
    if plan.stress is not None:
        found = stress(plan, num_draws=plan.stress.num_draws).figures()
        for name, stated in plan.stress.figures().items():
            if not same(stated, found[name]):
                yield f"stress: {name} {stated:.6g}, the draws give {found[name]:.6g}"
    if plan.inputs.problem.caution.robust_draws:
        worst, claimed = worst_draw_req_per_s(plan), plan.worst_draw_req_per_s
        demanded = sum(row.demand_req_per_s for row in plan.assignment)
        if claimed is None or not same(claimed, worst):
            yield f"worst of the draws at {claimed} req/s, they give {worst:.6g}"
        is_said = plan.misses_draws and plan.stopped_by is not None and plan.termination is Termination.FEASIBLE
        if plan.objective_name is Objective.COST and worst < demanded * (1 - TOLERANCE) and not is_said:
            yield f"in the worst of the draws the fleet sustains {worst:.6g} of {demanded:.6g} req/s"
