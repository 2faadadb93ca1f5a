"""What runs now from a file: a plan, whose groups it is, or a list that a user writes by hand.

By hand it is CSV, or YAML or JSON with the list under `fleet:`, a row for each group of equal replicas:

    gpu,copies                      type and number of replicas
    model,precision                 where the question has several
    tensor_parallel,pipeline_parallel    1 where left out; all GPUs of one type
    seller,region,zone,num_gpus,spot     as much as tells the offer from others
    price_usd_per_hour              of one rental unit; only where nothing of the kind is on offer any more
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cuvee.catalog.gpus import find_gpu, load_gpu_types
from cuvee.catalog.model import WEIGHT_BYTES, check_precision
from cuvee.catalog.models import load_model
from cuvee.catalog.offer import Offer
from cuvee.catalog.records import Record
from cuvee.catalog.tables import parse_csv, parse_json, parse_yaml, records_of
from cuvee.errors import InputError, UnknownNameError
from cuvee.files import read_text
from cuvee.plan.candidates.placement import host_gpus, spans_machines, usable_gpus
from cuvee.plan.outcome.files import plan_of
from cuvee.plan.outcome.result import Plan
from cuvee.plan.question.current_fleet import MOST_COPIES, CurrentFleet, MoveOptions, RunningGroup
from cuvee.plan.question.problem import PlanProblem
from cuvee.profile.phases import Phase
from cuvee.profile.replica import Stage, split_layers

MOST_ROWS = 1_000
MAX_FILE_MB = 100.0
MAX_YAML_MB = 2.0

FIELDS = (
    "gpu", "copies", "model", "precision", "tensor_parallel", "pipeline_parallel", "seller", "region", "zone",
    "num_gpus", "spot", "price_usd_per_hour",
)  # fmt: skip
"""Fields of a row written by hand."""

EXPECTED = "a plan file, or CSV, YAML or JSON with gpu and copies of each group that runs"


@dataclass(frozen=True)
class HeldGroup:
    """Replicas that run, on offers as the file knows them.

    Attributes
        gpus_per_offer    Offers and the GPUs that one replica takes from each [-].
        shares            (workload type, share of its requests that the group gets now [-]).
        keeps_to          Names of the workload types they are kept for; none: any.
    """

    model: str
    stages: tuple[Stage, ...]
    precision: str
    kv_precision: str
    copies: int
    gpus_per_offer: tuple[tuple[Offer, int], ...]
    shares: tuple[tuple[str, float], ...] = ()
    keeps_to: tuple[str, ...] = ()


def with_current(problem: PlanProblem, path: Path | str, moves: MoveOptions | None = None) -> PlanProblem:
    """`problem` from what the file at `path` says runs now; what it holds adds to the stock.

    Raises          InputError: a file that cannot be used; replicas on GPUs that nothing on offer stands for.
    Assumptions     The stock on offer is what can be rented besides what runs.
                    GPUs that run and are no longer on offer can be kept at their old price, and put to another use.
    """
    groups = _read(Path(path), problem)
    if not groups:
        raise InputError(
            f"{path}: no replicas", expected="at least one that runs", remedy="leave the current fleet out"
        )
    return attached(problem, groups, moves or MoveOptions())


def held_by(plan: Plan) -> tuple[HeldGroup, ...]:
    """What runs where `plan` has been carried out."""
    offers = plan.inputs.problem.offers.offers
    apart = [group.id for group in plan.groups if group.phase is not Phase.BOTH]
    if apart:
        raise InputError(
            f"{apart[0]} of the current fleet does one phase of its requests alone",
            expected="replicas that prefill and decode: moves are known of those",
            remedy="plan from nothing with --disaggregate, or give what runs by hand",
        )
    unknown = [part.offer for group in plan.groups for part in group.rented if part.offer not in range(len(offers))]
    if unknown:
        raise InputError(
            f"a plan that rents offer {unknown[0]} of {len(offers)}",
            expected="a plan that rents what was on offer",
            remedy="see what is wrong with it: cuvee check",
        )
    return tuple(
        HeldGroup(
            group.model,
            group.stages,
            group.precision,
            group.kv_precision,
            group.copies,
            tuple((offers[part.offer], part.num_gpus) for part in group.rented),
            tuple(
                (row.workload, row.shares[group.id])
                for row in plan.assignment
                if row.model == group.model and group.id in row.shares
            ),
            group.keeps_to,
        )
        for group in plan.groups
    )


def attached(problem: PlanProblem, held: Sequence[HeldGroup], moves: MoveOptions) -> PlanProblem:
    """`problem` with `held` running: on its own offers where they are the same, else on offers of the past."""
    offers = list(problem.offers.offers)
    gone: dict[str, None] = {}
    groups: dict[tuple[object, ...], RunningGroup] = {}
    asked = {entry.model.name: {kind.name for kind in entry.demand.types} for entry in problem.models}
    for group in held:
        taken = sorted((_index_of(offers, offer, group, gone), count) for offer, count in group.gpus_per_offer)
        spans = spans_machines([(offers[index], count) for index, count in taken])
        running = RunningGroup(
            group.model, group.stages, group.precision, group.kv_precision, spans, group.copies, tuple(taken),
            group.shares, group.keeps_to if asked.get(group.model, set()).issuperset(group.keeps_to) else (),
        )  # fmt: skip
        key = (running.config, running.gpus_per_offer)
        groups[key] = _together(groups[key], running) if key in groups else running
    units = _held_units(offers, tuple(groups.values()))
    stocked = tuple(
        replace(offer, stock=offer.max_units + units[index]) if units[index] else offer
        for index, offer in enumerate(offers)
    )
    notes = ("the stock on offer is taken to be what can be rented besides what runs now", *gone)
    offer_set = replace(problem.offers, offers=stocked)
    return replace(problem, offers=offer_set, current=CurrentFleet(tuple(groups.values()), moves, notes))


def _together(first: RunningGroup, second: RunningGroup) -> RunningGroup:
    """Two groups of equal replicas as one."""
    shares = dict(first.shares)
    for name, share in second.shares:
        shares[name] = shares.get(name, 0.0) + share
    return replace(first, copies=first.copies + second.copies, shares=tuple(shares.items()))


def _held_units(offers: Sequence[Offer], groups: Sequence[RunningGroup]) -> list[int]:
    """Rental units that the groups hold of each offer [-]."""
    gpus = [0] * len(offers)
    for group in groups:
        for index, count in group.gpus_per_offer:
            gpus[index] += count * group.copies
    return [-(-count // usable_gpus(offer)) for count, offer in zip(gpus, offers, strict=True)]


def _index_of(offers: list[Offer], offer: Offer, group: HeldGroup, gone: dict[str, None]) -> int:
    """The offer that stands for `offer` now; where there is none, `offer` itself without any more stock."""
    largest = max((stage.tensor_parallel_size for stage in group.stages if stage.gpu == offer.gpu), default=0)
    alike = [index for index, each in enumerate(offers) if _place(each) == _place(offer) and host_gpus(each) >= largest]
    if alike:
        return min(alike, key=lambda index: _distance(offers[index], offer))
    if offer.gpu not in load_gpu_types():
        raise UnknownNameError("GPU type of the current fleet", offer.gpu, load_gpu_types(), remedy="cuvee gpus")
    gone[
        f"{offer.label} is no longer on offer: what runs there may be kept at its old price of "
        f"{offer.price_usd_per_hour:.2f} $/h"
    ] = None
    offers.append(replace(offer, stock=0))
    return len(offers) - 1


def _place(offer: Offer) -> tuple[object, ...]:
    return offer.seller, offer.region, offer.zone, offer.gpu, offer.num_gpus, offer.spot


def _distance(first: Offer, second: Offer) -> tuple[bool, float]:
    """How far two offers of one place are apart: another instance, then another price."""
    return first.instance != second.instance, abs(first.price_usd_per_hour - second.price_usd_per_hour)


def _read(path: Path, problem: PlanProblem) -> tuple[HeldGroup, ...]:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    is_yaml = bool(suffixes) and suffixes[-1] in (".yaml", ".yml")
    text = read_text(path, max_mb=MAX_YAML_MB if is_yaml else MAX_FILE_MB)
    if not text.strip():
        raise InputError(f"{path}: empty", expected=EXPECTED)
    if not is_yaml and not text.lstrip().startswith(("{", "[")):
        header, rows = parse_csv(text, str(path))
        return tuple(_by_hand(_known_fields(header, f"{path}:1", rows), problem))
    tree: Any = parse_yaml(text, str(path), EXPECTED) if is_yaml else parse_json(text, str(path), EXPECTED)
    if isinstance(tree, dict) and "schema_version" in tree:
        return held_by(_with_fleet(plan_of(tree, path), path))
    if isinstance(tree, dict) and "fleet" not in tree:
        raise InputError(f"{path}: no field 'fleet'", expected=EXPECTED, remedy="put the list under fleet:")
    items = tree["fleet"] if isinstance(tree, dict) else tree
    records = records_of(items, f"{path}: fleet", "a list of groups that run")
    named = (_known_fields(tuple(record.values), record.place, [record]) for record in records)
    return tuple(_by_hand((record for each in named for record in each), problem))


def _with_fleet(plan: Plan, path: Path) -> Plan:
    if not plan.has_plan:
        raise InputError(
            f"{path}: a plan that is {plan.termination}",
            expected="a plan with groups that run",
            remedy="give the plan that was carried out, or the fleet by hand",
        )
    return plan


def _known_fields(names: Sequence[str], place: str, rows: Any) -> Iterator[Record]:  # noqa: ANN401 any records
    unknown = [name for name in names if name not in FIELDS]
    if unknown:
        raise UnknownNameError(f"field at {place}", unknown[0], FIELDS, remedy="rename it, or leave it out")
    yield from rows


def _by_hand(rows: Iterator[Record], problem: PlanProblem) -> Iterator[HeldGroup]:
    """Each row as replicas on an offer of the problem, or on one that its price stands for."""
    for number, row in enumerate(rows):
        if number == MOST_ROWS:
            raise InputError(f"{row.place}: more than {MOST_ROWS} groups", expected=f"at most {MOST_ROWS}")
        size = row.count("tensor_parallel", default=1)
        depth = row.count("pipeline_parallel", default=1, high=64)
        name, layers, precision, kv_precision = _model_of(row, problem)
        if depth > layers:
            raise row.error("pipeline_parallel", f"at most the {layers} layers of {name}")
        offer = _offer_of(row, size, problem)
        if offer.num_gpus > 1 and (size.bit_count() > 1 or size > host_gpus(offer)):
            raise row.error("tensor_parallel", f"a power of two of GPUs on one host, as {offer.label} is rented whole")
        stages = tuple(Stage(offer.gpu, size, count) for count in split_layers(layers, depth))
        if row.is_empty("copies"):
            raise row.error("copies", "the number of replicas that run")
        copies = row.count("copies", default=1, high=MOST_COPIES)
        yield HeldGroup(name, stages, precision, kv_precision, copies, ((offer, size * depth),))


def _model_of(row: Record, problem: PlanProblem) -> tuple[str, int, str, str]:
    """Name, layers, weight and cache precision of the model that a row serves."""
    given = row.text("model")
    if not given and len(problem.models) > 1:
        raise row.error("model", f"one of {', '.join(entry.model.name for entry in problem.models)}")
    names = {name.lower(): entry for entry in problem.models for name in (entry.model.name, entry.model.hf_id) if name}
    entry = problem.models[0] if not given else names.get(given.lower())
    model = entry.model if entry else load_model(given)
    precision = row.text("precision") or (entry.precisions[0] if entry else model.released_precision)
    check_precision(precision, WEIGHT_BYTES)
    return model.name, model.num_layers, precision, entry.kv_precision if entry else "bf16"


def _offer_of(row: Record, size: int, problem: PlanProblem) -> Offer:
    """The offer that a row stands on: the one that has all it says, or one of its own at the price it gives."""
    gpu = _gpu_of(row, problem)
    spot, num_gpus = row.flag("spot"), row.count("num_gpus", default=0, low=0)
    wanted = {"seller": row.text("seller"), "region": row.text("region"), "zone": row.text("zone")}
    alike = [
        offer
        for offer in problem.offers.offers
        if offer.gpu == gpu
        and offer.spot == spot
        and num_gpus in (0, offer.num_gpus)
        and all(value in ("", getattr(offer, name)) for name, value in wanted.items())
        and host_gpus(offer) >= size
    ]
    if len({_place(offer) for offer in alike}) > 1:
        raise InputError(
            f"{row.place}: {gpu} may stand on {', '.join(dict.fromkeys(offer.label for offer in alike))}",
            expected="one offer",
            remedy="tell it from the others by seller, region, zone or num_gpus (GPUs of one rental unit)",
        )
    if alike:
        return min(alike, key=lambda offer: offer.price_usd_per_hour)
    if row.is_empty("price_usd_per_hour"):
        raise InputError(
            f"{row.place}: {gpu}{' spot' if spot else ''} with TP{size}, of which nothing is on offer",
            expected="an offer that fits, or the price at which it runs",
            remedy="add price_usd_per_hour of one rental unit, or correct the row; list the offers with: cuvee offers",
        )
    places = {name: value or default for (name, value), default in zip(wanted.items(), ("any",) * 3, strict=True)}
    units = num_gpus or 1
    return Offer(
        gpu, price_usd_per_hour=row.price("price_usd_per_hour"), num_gpus=units, machine_gpus=max(units, size),
        spot=spot, stock=0, source=row.place, **places,
    )  # fmt: skip


def _gpu_of(row: Record, problem: PlanProblem) -> str:
    name = row.text("gpu")
    if not name:
        raise row.error("gpu", "a GPU type")
    if any(offer.gpu == name for offer in problem.offers.offers):
        return name
    return find_gpu(name).name
