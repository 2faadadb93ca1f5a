"""The printed machines: which replica stands in which machine of those rented whole."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console

from cuvee.plan.rented_machines import Block, PackedMachine, RentedMachines
from cuvee.plan.result import Plan
from cuvee.report.style import literal, rule

MOST_LINES = 12
"""Lines of machines; the plan file has all of them."""

Contents = tuple[int, tuple[tuple[str, int, int], ...]]
"""Units of a machine, and group, stage and GPUs of its blocks: what alike machines have in common."""


def machine_lines(plan: Plan, console: Console) -> Iterator[str]:
    """A line for each run of machines that hold alike replicas; of many, the first dozen."""
    runs = [(rented, list(alike)) for rented in plan.machines for _, alike in groupby(rented.packing, key=_contents_of)]
    for rented, machines in runs[:MOST_LINES]:
        yield literal(f"{rented.label}{rule(console)}{_line(rented, machines)}")
    more = sum(len(machines) for _, machines in runs[MOST_LINES:])
    if more:
        yield f"and {more:,} more {'machines' if more > 1 else 'machine'}, which --json and --save-dir list"


def machines_legend(plan: Plan) -> Iterator[str]:
    """How to read those lines."""
    if any(rented.packing for rented in plan.machines):
        yield "machines: g1.2 (4) = second replica of g1, on 4 GPUs there; all GPUs of a machine are paid"


def _contents_of(machine: PackedMachine) -> Contents:
    return machine.units, tuple((block.group, block.stage, block.num_gpus) for block in machine.blocks)


def _line(rented: RentedMachines, machines: Sequence[PackedMachine]) -> str:
    first, last = machines[0], machines[-1]
    units = f" of {first.units} units" if first.units > 1 else ""
    left = first.units * rented.num_gpus - first.used_gpus
    idle = f", {left} idle" if left else ""
    if len(machines) == 1:
        return f"machine {first.number}{units}: {' '.join(_replicas(first.blocks))}{idle}"
    counts = Counter(_contents_of(first)[1])
    held = " + ".join(f"{count} x {_block(group, stage)} ({gpus})" for (group, stage, gpus), count in counts.items())
    return f"machines {first.number}-{last.number}{units}: each {held}{idle}"


def _replicas(blocks: Sequence[Block]) -> Iterator[str]:
    """Each block, those of consecutive replicas as one: "g1.1-3 (2 each)"."""

    def run_of(place: int) -> tuple[str, int, int, int]:
        block = blocks[place]
        return block.group, block.stage, block.num_gpus, block.copy - place

    for (group, stage, gpus, _), places in groupby(range(len(blocks)), key=run_of):
        first, *others = [blocks[place].copy for place in places]
        name = f"{group}.{first}-{others[-1]}" if others else f"{group}.{first}"
        yield f"{_block(name, stage)} ({gpus}{' each' if others else ''})"


def _block(name: str, stage: int) -> str:
    return f"{name} stage {stage}" if stage else name
