"""The error tree.

    CuveeError
    ├── InputError          a file, a flag or a value that cannot be used (also a ValueError)
    │   └── UnknownNameError   a GPU, model, mix or offer set that nobody knows (also a LookupError)
    ├── DoesNotFitError     a model that a replica's memory cannot hold (also a ValueError)
    ├── SolverError         the solver failed for a reason that is not the problem's (also a RuntimeError)
    └── MissingExtraError   an optional dependency is not installed (also an ImportError)

Every message has three parts: what arrived, what was expected, what to do.
An infeasible plan is an answer, not an error: see `cuvee.plan.outcome.result.Termination`.
"""

import difflib
import json
from collections.abc import Iterable


class CuveeError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(CuveeError, ValueError):
    """A file, flag or value that cannot be used.

    Parameters
        arrived     What was given, with file, line and column where there are some.
        expected    What would have been accepted.
        remedy      What to do about it; names a command where one helps.
    """

    def __init__(self, arrived: str, *, expected: str, remedy: str = "") -> None:
        self.arrived = arrived
        self.expected = expected
        self.remedy = remedy
        remedy = remedy or "give what was expected, and run it again"
        super().__init__(f"{arrived}\n  expected: {expected}\n  to do: {remedy}")


class UnknownNameError(InputError, LookupError):
    """A name that no catalogue has; carries the nearest known names.

    Parameters
        kind     What the name should be of: "GPU type", "model", ...
        name     The name that arrived.
        known    Every name that would have been accepted.
        remedy   The command that lists the known names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, remedy: str = "") -> None:
        self.name = name
        known = sorted(set(known))
        lowered = {candidate.lower(): candidate for candidate in known}
        close = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)
        shown = [lowered[match] for match in close] or known[:8]
        more = "" if close or len(known) <= len(shown) else f" and {len(known) - len(shown)} more"
        lead = "nearest known: " if close else "one of "
        super().__init__(f"unknown {kind} {name!r}", expected=f"{lead}{', '.join(shown)}{more}", remedy=remedy)


class DoesNotFitError(CuveeError, ValueError):
    """Weights and cache exceed the memory of a replica.

    Parameters
        what           The model and the replica.
        needed_gb      Memory the weights and one longest request need [GB].
        available_gb   Memory the replica has after the engine's reserve [GB].
    """

    def __init__(self, what: str, *, needed_gb: float, available_gb: float) -> None:
        self.needed_gb = needed_gb
        self.available_gb = available_gb
        super().__init__(
            f"{what} needs {needed_gb:.1f} GB and has {available_gb:.1f} GB\n"
            "  expected: weights plus cache within the replica's memory\n"
            "  to do: use more or larger GPUs per replica, or a smaller precision (--precision fp8)"
        )


class SolverError(CuveeError, RuntimeError):
    """The solver stopped for a reason that is not the problem's, such as numerical trouble."""


class MissingExtraError(CuveeError, ImportError):
    """An optional dependency is not installed; names the command that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional dependency that is not installed\n"
            f"  expected: the extra [{extra}]\n"
            f"  to do: pip install 'cuvee[{extra}]'"
        )


KINDS = {
    dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number",
    type(None): "nothing",
}  # fmt: skip


def kind_of(value: object) -> str:
    """What a value of JSON or YAML is, in words."""
    return KINDS.get(type(value), f"a {type(value).__name__}")


def reason_of(error: BaseException) -> str:
    """Why a text of JSON or YAML could not be read, in words."""
    text = " ".join(str(error).split())
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "a number of more than 4,300 digits" if "int_max_str_digits" in text else text[:200] or type(error).__name__
