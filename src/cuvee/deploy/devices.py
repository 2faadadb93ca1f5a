"""The GPUs of this machine, and which replica gets which."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from cuvee.catalog.gpus import find_gpu
from cuvee.errors import InputError, UnknownNameError
from cuvee.plan.outcome.result import Group

QUERY = ("nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader")
QUERY_SECONDS = 20.0


def shown_devices() -> dict[int, str]:
    """Name of each GPU by its number, as nvidia-smi shows them; empty without it."""
    if shutil.which(QUERY[0]) is None:
        return {}
    try:
        asked = subprocess.run(QUERY, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return parse_devices(asked.stdout)


def parse_devices(text: str) -> dict[int, str]:
    """Lines "0, NVIDIA L40S" as name by number; other lines are left out."""
    found = {}
    for line in text.splitlines():
        number, comma, name = line.partition(",")
        if comma and number.strip().isdigit():
            found[int(number)] = name.strip()
    return found


def stated_devices(given: Sequence[str]) -> dict[int, str]:
    """GPUs of `--devices L40S=0-3,6`, name by number.

    Raises      InputError: not that form, an unknown GPU type, a number twice.
    """
    found: dict[int, str] = {}
    for text in given:
        name, equals, numbers = text.partition("=")
        if not equals or not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", numbers.strip()):
            raise InputError(
                f"--devices {text!r}", expected="GPU=NUMBERS", remedy="e.g. --devices L40S=0-3 --devices H100=4,5"
            )
        gpu = find_gpu(name.strip()).name
        for part in numbers.split(","):
            first, _, last = part.strip().partition("-")
            for number in range(int(first), int(last or first) + 1):
                if number in found:
                    raise InputError(f"--devices: GPU {number} twice", expected="each GPU once")
                found[number] = gpu
    return found


def assigned_devices(groups: Sequence[Group], devices: Mapping[int, str]) -> dict[tuple[str, int], tuple[int, ...]]:
    """Numbers of the GPUs of each replica by group id and place in it, stage by stage, lowest numbers first.

    Parameters
        devices    Name of each GPU of the machine by its number.
    Raises         InputError: the machine has too few of a type.
    """
    free: dict[str, list[int]] = {}
    for number, name in sorted(devices.items()):
        free.setdefault(_type_of(name), []).append(number)
    needed: dict[str, int] = {}
    for group in groups:
        for gpu, count in group.config.gpu_counts.items():
            needed[gpu] = needed.get(gpu, 0) + count * group.copies
    for gpu, count in needed.items():
        if len(free.get(gpu, ())) < count:
            has = ", ".join(f"{len(found)} {name}" for name, found in free.items()) or "no GPU that can be seen"
            numbers = "0" if count == 1 else f"0-{count - 1}"
            raise InputError(
                f"this machine has {has}; the plan takes {count} {gpu}",
                expected="the GPUs of the plan",
                remedy=f"name them with --devices {gpu}={numbers}, or say what stands in for {gpu} with --engines",
            )
    return {
        (group.id, copy): tuple(
            free[stage.gpu].pop(0) for stage in group.config.stages for _ in range(stage.tensor_parallel_size)
        )
        for group in groups
        for copy in range(group.copies)
    }


def _type_of(name: str) -> str:
    """GPU type of a name that the driver shows; the name itself where no catalogue has it."""
    for tried in (name, name.replace("GeForce ", "").replace("Tesla ", "")):
        with suppress(UnknownNameError):
            return find_gpu(tried, scheme="kubernetes").name
    return name
