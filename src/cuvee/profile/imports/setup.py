"""What result files do not say of themselves: the deployment, and where need be the load, from options or a YAML."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.records import Record
from cuvee.catalog.tables import parse_yaml
from cuvee.errors import InputError, UnknownNameError
from cuvee.files import read_text
from cuvee.profile.imports.fields import deployment_of
from cuvee.profile.imports.load_point import Deployment, LoadPoint, StatedLoad
from cuvee.profile.imports.points_csv import NAME as CSV

NAMES = tuple(each.name for each in fields(Deployment))
LOADS = ("concurrency", "request_rate")
KNOWN = (*NAMES, *LOADS, "all_at_once")
FILES = "files"
REQUIRED = {
    "gpu": ("H100-SXM", "which GPU served"),
    "tp": ("2", "over how many GPUs each layer was split"),
    "model": ("llama-3.1-8b", "which model"),
}
"""What no point goes without: an example, and what it says."""


@dataclass(frozen=True)
class Setup:
    """What stands where a file says nothing.

    Attributes
        deployment    What served.
        load          How requests came.
        by_file       The same for single files, by their name or path; it comes first.
    """

    deployment: Deployment = field(default_factory=Deployment)
    load: StatedLoad = field(default_factory=StatedLoad)
    by_file: dict[str, "Setup"] = field(default_factory=dict)

    def over(self, other: "Setup") -> "Setup":
        """This setup, and the other's fields where this one has none."""
        load = self.load if self.load.is_known else other.load
        return Setup(filled(self.deployment, other.deployment), load, {**other.by_file, **self.by_file})

    def of_file(self, path: str | Path) -> "Setup":
        """What stands for one file."""
        single = self.by_file.get(str(path)) or self.by_file.get(Path(path).name)
        return single.over(self) if single else self

    def require_named(self, paths: Sequence[str | Path]) -> None:
        """Raises InputError where something is said of a file that is none of `paths`: a slip of its name."""
        known = {str(path) for path in paths} | {Path(path).name for path in paths}
        for name in self.by_file:
            if name not in known:
                raise InputError(
                    f"the setup speaks of a file {name!r}",
                    expected=f"one of those read: {', '.join(sorted(Path(path).name for path in paths))[:200]}",
                    remedy="correct the name under files:, or take it out",
                )


def filled(first: Deployment, second: Deployment) -> Deployment:
    """Fields of `first`, and of `second` where those are None."""
    missing = {name: getattr(second, name) for name in NAMES if getattr(first, name) is None}
    return replace(first, **missing)


def make_setup(values: dict[str, Any], where: str) -> Setup:
    """Setup from values by name, those of `KNOWN`; None stands for nothing said.

    Raises      InputError: a name that is not known, a count that is none, a GPU that nobody knows, two loads.
    """
    record = Record(where, {name: value for name, value in values.items() if value is not None})
    for name in record.values:
        if name not in KNOWN:
            raise InputError(f"{where}: field {name!r}", expected=f"one of {', '.join(KNOWN)}, {FILES}")
        if record.is_empty(name):
            raise record.error(name, "something", "leave it out, or fill it")
    if isinstance(record.values.get("engine_version"), float):  # 0.10 would be read as 0.1
        raise record.error("engine_version", "a text", 'put it in quotes, e.g. engine_version: "0.10"')
    deployment = deployment_of(record)
    if deployment.gpu:
        find_gpu(deployment.gpu)
    return Setup(deployment, _load(record))


def load_setup(path: str | Path) -> Setup:
    """Setup of a YAML file: a mapping of `KNOWN`, and under `files` the same for single files.

    Raises      InputError: not readable, no mapping, or a field as in `make_setup`.
    """
    expected = "a mapping such as 'gpu: H100-SXM' and 'tp: 2'"
    content = parse_yaml(read_text(path), str(path), expected)
    own = dict(_mapping(content, str(path), expected))
    single = _mapping(own.pop(FILES, None) or {}, f"{path}: {FILES}", "a mapping from file names to such mappings")
    by_file = {
        name: make_setup(_mapping(values, f"{path}: {FILES}.{name}", expected), f"{path}: {FILES}.{name}")
        for name, values in single.items()
    }
    return replace(make_setup(own, str(path)), by_file=by_file)


def completed(point: LoadPoint, setup: Setup) -> LoadPoint:
    """The load point with what it does not say taken from `setup`.

    Raises      InputError: something that nobody says, and how to say it.
    Notes           A file's own words stand, and the setup's are told as a remark where they differ. A load generator
                    knows the model only by the name the server gives it: there the setup comes first. Without either,
                    a row of a CSV has one GPU a stage.
    """
    said, given = point.deployment, setup.deployment
    deployment = filled(said, given)
    if deployment.model is None:
        deployment = replace(deployment, model=point.served_name)
    is_row = point.file_format == CSV
    if is_row and deployment.tp is None:
        deployment = replace(deployment, tp=1)
    deployment = filled(deployment, Deployment(pp=1, replicas=1))
    missing = [name for name in REQUIRED if getattr(deployment, name) is None]
    if missing:
        raise _missing(point.place, missing)
    load = point.load if point.load.is_known else setup.load
    if not load.is_known:
        raise InputError(
            f"{point.place}: does not say how requests came",
            expected="a fixed number under way, a rate of arrivals, or all at once",
            remedy="say it with --concurrency N, --request-rate R or --all-at-once, or in the setup file",
        )
    differing = () if is_row else tuple(_differing(said, given))
    return replace(point, deployment=deployment, load=load, remarks=(*point.remarks, *differing))


def _differing(said: Deployment, given: Deployment) -> list[str]:
    found = []
    for name in NAMES:
        ours, theirs = getattr(given, name), getattr(said, name)
        if None not in (ours, theirs) and _plain(name, ours) != _plain(name, theirs):
            found.append(f"the file says {name} {theirs}; {ours} of the setup is left aside")
    return found


def _plain(name: str, value: object) -> str:
    """A name such that two names of one GPU are equal."""
    text = str(value).lower()
    try:
        return find_gpu(text).name if name == "gpu" else text
    except UnknownNameError:
        return text


def _missing(place: str, names: Sequence[str]) -> InputError:
    options = " ".join(f"--{name} {REQUIRED[name][0]}" for name in names)
    lines = ", ".join(f"'{name}: {REQUIRED[name][0]}'" for name in names)
    return InputError(
        f"{place}: does not say {' and '.join(REQUIRED[name][1] for name in names)}",
        expected=f"{', '.join(names)}: from the file or from you",
        remedy=f"say it, e.g. with {options}, or {lines} in a file given with --setup",
    )


def _load(record: Record) -> StatedLoad:
    given = [name for name in LOADS if name in record.values]
    at_once = "all_at_once" in record.values and record.flag("all_at_once")
    if at_once and given:
        raise InputError(f"{record.place}: all_at_once beside {given[0]}", expected="one way in which requests came")
    figures = {name: record.number(name, "a number above 0") for name in given}
    for name, value in figures.items():
        if value <= 0:
            raise record.error(name, "a number above 0")
    return StatedLoad(bool(given) or at_once, figures.get("concurrency"), figures.get("request_rate"))


def _mapping(value: object, place: str, expected: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{place}: no mapping", expected=expected)
    return value
