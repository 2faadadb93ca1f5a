"""Several files of results as one table of measured points: `import_files`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.model import KV_BYTES, WEIGHT_BYTES
from cuvee.catalog.models import load_model
from cuvee.catalog.quantization import written_precision
from cuvee.errors import CuveeError, InputError, UnknownNameError
from cuvee.profile.engine import find_engine, unknown_version
from cuvee.profile.imports.clashes import WAYS, Clash, settled
from cuvee.profile.imports.doubts import doubts_of, remarks_of
from cuvee.profile.imports.formats import read_load_points
from cuvee.profile.imports.hardware_bounds import Hardware, impossible
from cuvee.profile.imports.load_point import Deployment, LoadPoint
from cuvee.profile.imports.setup import Setup, completed
from cuvee.profile.points import CACHE_PRECISION
from cuvee.units import plural

SUFFIX = re.compile(r"\.(?:jsonl?|csv|ya?ml)\b", re.IGNORECASE)
ITS_OWN_FILE = "its own file doubts it"


@dataclass(frozen=True)
class ImportedPoint:
    """One load point, ready for a table.

    Attributes
        id         Unique within the import.
        point      As its file states it, completed by the setup.
        doubts     What speaks against it; any of them makes it doubtful.
        remarks    What is worth telling and does not.
    """

    id: str
    point: LoadPoint
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def is_doubtful(self) -> bool:
        """Whether `cuvee score` leaves it out."""
        return bool(self.doubts)

    @property
    def note(self) -> str:
        """The file's own note, and the doubts that it does not hold yet."""
        added = [doubt for doubt in self.doubts if doubt not in self.point.note and doubt != ITS_OWN_FILE]
        return "; ".join(filter(None, (self.point.note, *added)))


@dataclass(frozen=True)
class Imported:
    """What was read from several files.

    Attributes
        points      In the order of the files.
        clashes     Load points that stood in several places with different figures, and what was made of them.
        repeated    Places that repeat the figures of another.
        remarks     What concerns all points alike.
    """

    points: tuple[ImportedPoint, ...]
    clashes: tuple[Clash, ...]
    repeated: tuple[str, ...]
    remarks: tuple[str, ...]


def import_files(paths: Sequence[str | Path], setup: Setup | None = None, *, on_clash: str = "error") -> Imported:
    """Load points of result files as one table.

    Parameters
        setup       What the files do not say.
        on_clash    What to do where the same load point has different figures in two places: "error", "mean",
                    "last" or "first".
    Raises          InputError: a file that cannot be used, something that nobody says, a clash.
    """
    if not paths:
        raise InputError("no files", expected="at least one file of results")
    setup = setup or Setup()
    setup.require_named(paths)
    read = [completed(point, setup.of_file(path)) for path in paths for point in read_load_points(path)]
    return import_points(read, on_clash=on_clash)


def import_points(read: Sequence[LoadPoint], *, on_clash: str = "error") -> Imported:
    """Completed load points as one table; raises InputError for a clash, as `import_files`."""
    if on_clash not in WAYS:
        raise InputError(f"on_clash = {on_clash!r}", expected=f"one of {', '.join(WAYS)}")
    read = [_with_names(point) for point in read]
    kept, clashes, repeated = settled(read, on_clash)
    points = judged(kept)
    return Imported(points, tuple(clashes), tuple(repeated), tuple(_remarks(points)))


def judged(points: Sequence[LoadPoint]) -> tuple[ImportedPoint, ...]:
    """Completed load points, each with all that speaks against it."""
    hardware = _Hardware()
    taken: set[str] = set()
    return tuple(hardware.judged(point, unique(_id(point), taken)) for point in points)


def _with_names(point: LoadPoint) -> LoadPoint:
    """The point with the catalogue's name of its GPU, where it has one."""
    try:
        gpu = find_gpu(point.deployment.gpu or "").name
    except UnknownNameError:
        return point
    return replace(point, deployment=replace(point.deployment, gpu=gpu))


def _id(point: LoadPoint) -> str:
    """The file's own id, or the file's name."""
    return point.id or SUFFIX.split(Path(point.place.split(" and ")[0].split(": ")[0]).name)[0]


def unique(stem: str, taken: set[str]) -> str:
    """`stem`, with a number where it is among `taken` already; adds it there."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name


def _remarks(points: Sequence[ImportedPoint]) -> list[str]:
    served = [each.point.deployment for each in points]
    unknown = (unknown_version(each.engine or "", each.engine_version or "") for each in served)
    remarks = list(dict.fromkeys(filter(None, unknown)))
    remarks += dict.fromkeys(filter(None, (_unknown_engine(each.engine) for each in served)))
    if nameless := sum(not each.engine for each in served):
        name = f"{nameless} of {plural(len(points), 'point')} name{'s' if len(points) == 1 else ''} no engine"
        remarks.append(f"{name}, and cuvee score leaves those out: give --engine")
    return remarks


def _unknown_engine(name: str | None) -> str:
    """What is to be told of an engine without settings; "" of one that has some, or where none is named."""
    try:
        if name:
            find_engine(name)
    except UnknownNameError as error:
        return f"{error.arrived}: cuvee score and cuvee calibrate leave its points out; {error.expected}"
    return ""


class _Hardware:
    """Names looked up once each."""

    def __init__(self) -> None:
        self._known: dict[Deployment, Hardware | str] = {}

    def judged(self, point: LoadPoint, name: str) -> ImportedPoint:
        """The point with all that speaks against it."""
        served = point.deployment
        if served not in self._known:
            self._known[served] = _looked_up(served)
        hardware = self._known[served]
        doubts, remarks = list(doubts_of(point)), list(remarks_of(point))
        if isinstance(hardware, str):
            remarks.append(f"not held against a data sheet: {hardware}")
        else:
            doubts += impossible(point, hardware)
        if point.is_doubtful and not doubts:
            doubts.append(ITS_OWN_FILE)
        return ImportedPoint(name, point, tuple(doubts), tuple(remarks))


def _looked_up(served: Deployment) -> Hardware | str:
    """The hardware, or why there is none."""
    try:
        gpu, model = find_gpu(served.gpu or ""), load_model(served.model or "")
    except CuveeError as error:
        return str(error).partition("\n")[0]
    weights = _precision(served.weights, model.released_precision)
    cache = _precision(served.kv, CACHE_PRECISION)
    for name, known in ((weights, WEIGHT_BYTES), (cache, KV_BYTES)):
        if name not in known:
            return f"precision {name!r} is none of {', '.join(known)}"
    return Hardware(gpu, model, weights, cache)


def _precision(text: str | None, default: str) -> str:
    name = written_precision(text or "")
    return default if name in ("", "auto") else name
