"""The file of an evaluation: a line that says what made it, then a line per setting, so that it can be continued."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from cuvee._version import __version__
from cuvee.errors import InputError
from cuvee.evaluate.grid import EvaluationOptions
from cuvee.evaluate.records import SettingResult
from cuvee.evaluate.requests import Requests
from cuvee.files import read_text, write_atomic
from cuvee.workload.records import Trace

SCHEMA_VERSION = 1
"""Of the file; raised when a field changes its meaning or goes."""

MAKERS = ("catalog", "workload", "profile", "plan", "routing", "simulate", "evaluate")
"""Parts of the package that results depend on."""

MOST_MB = 200.0


def header(options: EvaluationOptions, requests: Mapping[str, Requests]) -> dict[str, Any]:
    """What made results: results of another header are not comparable.

    Parameters
        requests    By name; of traces the requests themselves count.
    """
    traces = {name: _digest(each.trace) for name, each in requests.items() if each.trace is not None}
    return {
        "schema_version": SCHEMA_VERSION,
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
    lines = [json.dumps(head), *(json.dumps(each.record()) for each in results)]
    write_atomic(path, "\n".join(lines) + "\n")


def read_results(path: Path, head: Mapping[str, Any]) -> tuple[dict[str, Any], list[SettingResult]]:
    """What made them, with the traces of `head` added, and results so far; none where there is no file.

    Raises      InputError: not such a file, or made by other code, options or traces.
    """
    if not path.exists():
        return dict(head), []
    lines = read_text(path, max_mb=MOST_MB).splitlines()
    try:
        found = json.loads(lines[0]) if lines else None
        results = [SettingResult.of(json.loads(line)) for line in lines[1:]]
    except (ValueError, KeyError, TypeError, AttributeError):
        found, results = None, []
    if not isinstance(found, dict) or "code" not in found:
        raise InputError(
            f"{path}: not a file of results",
            expected="what `cuvee evaluate` writes",
            remedy="give another --out, or remove the file",
        )
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
