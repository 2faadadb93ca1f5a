"""The file of an evaluation: a line that says what made it, then a line per result, so that it can be continued."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from cuvee._version import __version__
from cuvee.errors import InputError
from cuvee.evaluate.grid import EvaluationOptions
from cuvee.evaluate.records import SettingResult
from cuvee.evaluate.requests import Requests
from cuvee.files import read_text, write_atomic
from cuvee.plan.outcome.files import adapter_of
from cuvee.workload.records import Trace

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Of the file; raised when a field changes its meaning or goes."""

MAKERS = ("catalog", "workload", "profile", "plan", "routing", "simulate", "evaluate")
"""Parts of the package that results depend on."""

MOST_MB = 200.0


def header(
    options: EvaluationOptions, requests: Mapping[str, Requests], *, evaluation: str = "paper"
) -> dict[str, Any]:
    """What made results: results of another header are not comparable.

    Parameters
        evaluation  "paper", "robustness" or "beyond".
        requests    By name; of traces the requests themselves count.
    """
    traces = {name: _digest(each.trace) for name, each in requests.items() if each.trace is not None}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation": evaluation,
        "cuvee_version": __version__,
        "code": code_digest(),
        "options": asdict(options),
        "traces": traces,
    }


def _digest(trace: Trace) -> str:
    """Of all that is played of a trace: its lengths, and its times of arrival where it has some."""
    digest = hashlib.sha256(trace.input_tokens.tobytes() + trace.output_tokens.tobytes())
    if trace.arrival_s is not None:
        digest.update(trace.arrival_s.tobytes())
    return digest.hexdigest()[:16]


def code_digest() -> str:
    """Of sources and data that results depend on: other rates give other results under the same version."""
    digest = hashlib.sha256()
    root = Path(str(resources.files("cuvee")))
    for part in MAKERS:
        for path in sorted((root / part).rglob("*")):
            if path.suffix in (".py", ".csv", ".json", ".yaml"):
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def write_results(path: Path, head: Mapping[str, Any], results: Iterable[SettingResult]) -> None:
    """Write the whole file, so that a reader sees the old one or the new one."""
    _write(path, head, (each.record() for each in results))


def _write(path: Path, head: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> None:
    write_atomic(path, "\n".join([json.dumps(head), *map(json.dumps, records)]) + "\n")


def read_results(path: Path, head: Mapping[str, Any]) -> tuple[dict[str, Any], list[SettingResult]]:
    """What made them, with the traces of `head` added, and results so far; none where there is no file.

    Raises      InputError: not such a file, or made by other code, options or traces.
    """
    return _read(path, head, SettingResult.of)


def _read(path: Path, head: Mapping[str, Any], of: Callable[[dict[str, Any]], T]) -> tuple[dict[str, Any], list[T]]:
    if not path.exists():
        return dict(head), []
    lines = read_text(path, max_mb=MOST_MB).splitlines()
    try:
        found = json.loads(lines[0]) if lines else None
        results = [of(json.loads(line)) for line in lines[1:]]
    except (ValueError, KeyError, TypeError, AttributeError):
        found, results = None, []
    if not isinstance(found, dict) or "code" not in found:
        raise _not_results(str(path))
    traces = {**head["traces"], **found.get("traces", {})}
    other = [name for name, value in head.items() if name != "traces" and found.get(name) != value]
    other += [f"trace {name}" for name, value in head["traces"].items() if traces[name] != value]
    if other:
        raise InputError(
            f"{path}: results of another {', '.join(other)}",
            expected="results of the same code, options and traces: others cannot be compared",
            remedy="give another --out, or remove the file",
        )
    return {**found, "traces": traces}, results


class KeptResults:
    """Results by the names of their questions, each in the file as soon as it is there.

    Parameters
        path    Of the file; None: nothing is kept.
        head    What makes them; see `header`.
    Raises      InputError: a file of something else, or made by other code, options or traces.
    """

    def __init__(self, path: Path | None, head: Mapping[str, Any]) -> None:
        self.path = path
        self.head, known = (head, []) if path is None else _read(path, head, _named)
        self.known: dict[str, Any] = dict(known)

    def once(self, name: str, kind: type[T], make: Callable[[], T]) -> T:
        """The result called `name`, a record of `kind`: that of the file, else what `make` makes."""
        if name in self.known:
            try:
                return adapter_of(kind).validate_python(self.known[name])
            except ValueError as error:
                raise _not_results(str(self.path)) from error
        result = make()
        self.known[name] = adapter_of(kind).dump_python(result, mode="json")
        if self.path is not None:
            _write(self.path, self.head, ({"name": each, "result": found} for each, found in self.known.items()))
        return result


def _named(record: dict[str, Any]) -> tuple[str, Any]:
    return record["name"], record["result"]


def _not_results(path: str) -> InputError:
    return InputError(
        f"{path}: not a file of results",
        expected="what `cuvee evaluate` writes",
        remedy="give another --out, or remove the file",
    )
