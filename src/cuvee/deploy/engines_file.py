"""The engines file: how replicas of each GPU type or group of a plan are started. YAML, checked in full."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.tables import checked_yaml
from cuvee.deploy.recipe import Recipe
from cuvee.errors import InputError, UnknownNameError
from cuvee.plan.outcome.result import Group

EXPECTED = "a YAML file with version: 1, and gpus:, groups: or default: with a command each"
REMEDY = "docs/real-fleet.md has an example"


@dataclass(frozen=True)
class Recipes:
    """How the replicas of each group are started.

    Attributes
        default    Where neither group nor GPU type has its own; None: then that is an error.
        gpus       By canonical name of the GPU type.
        groups     By id of the group.
        source     Where they come from, for people.
    """

    default: Recipe | None
    gpus: Mapping[str, Recipe] = field(default_factory=dict, hash=False)
    groups: Mapping[str, Recipe] = field(default_factory=dict, hash=False)
    source: str = "--engine"

    def of(self, group: Group) -> Recipe:
        """The recipe of `group`: its own, else that of its GPU type, else the default."""
        types = list(group.config.gpu_counts)
        own = self.groups.get(group.id) or (self.gpus.get(types[0]) if len(types) == 1 else None) or self.default
        if own is None:
            raise InputError(
                f"{self.source}: nothing for group {group.id} ({group.config.gpu_label})",
                expected=f"{group.id} under groups:, {' or '.join(types)} under gpus:, or a default:",
                remedy="add it, or name an engine for the rest with --engine",
            )
        return own


def load_recipes(path: Path | str, groups: tuple[Group, ...], default: Recipe | None) -> Recipes:
    """Read an engines file for the `groups` of a plan; `default` where the file has none.

    Raises      InputError: not such a file, an unknown GPU type, a group that the plan does not have.
    """
    record = _checked(path)
    gpus = {_canonical(name, path): _recipe(each, f"{path}: gpus.{name}") for name, each in record["gpus"].items()}
    known = [group.id for group in groups]
    stranger = next((name for name in record["groups"] if name not in known), None)
    if stranger is not None:
        raise InputError(
            f"{path}: groups.{stranger}", expected=f"a group of the plan: {', '.join(known)}",
            remedy="take the ids as `cuvee plan` prints them",
        )  # fmt: skip
    own = {name: _recipe(each, f"{path}: groups.{name}") for name, each in record["groups"].items()}
    usual = _recipe(record["default"], f"{path}: default") if record["default"] else default
    return Recipes(usual, gpus, own, str(path))


def _checked(path: Path | str) -> dict[str, Any]:
    from cuvee.deploy.engines_schema import EnginesFile

    return checked_yaml(path, EnginesFile, EXPECTED, REMEDY)


def _canonical(name: str, path: Path | str) -> str:
    try:
        return find_gpu(name).name
    except UnknownNameError as error:
        raise InputError(f"{path}: gpus.{name}: unknown", expected=error.expected, remedy=error.remedy) from None


def _recipe(each: dict[str, Any], where: str) -> Recipe:
    listed = [each["cpus"]] if isinstance(each["cpus"], str) else each["cpus"]
    cpus = tuple(_processors(text, where) for text in listed)
    uses = each["uses_gpus"] if each["uses_gpus"] is not None else "{devices}" in each["command"]
    return Recipe(each["command"], each["environment"], cpus, each["max_concurrency"], uses)


def _processors(text: str, where: str) -> tuple[int, ...]:
    """Numbers of "0-3,8"."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or int(last or first) < int(first):
            raise InputError(f"{where}: cpus {text!r}", expected="processors such as 0-3,8")
        found += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(found))
