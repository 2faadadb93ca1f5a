"""Compilation of the event kernel: numba where it is installed, plain Python elsewhere. Same source, same results."""

import importlib.util
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
Array = TypeVar("Array")

IS_COMPILED = importlib.util.find_spec("numba") is not None and not os.environ.get("CUVEE_NO_COMPILATION")
"""Whether numba is there and wanted."""

OPTIONS = {"error_model": "numpy"}
"""Of every compiled function: numbers divided by 0 are infinite, which spares a test at each division."""


def compiled(function: Function) -> Function:
    """`function` as a part of what is compiled; as it is without numba."""
    return cast("Function", _numba().njit(**OPTIONS)(function)) if IS_COMPILED else function


def inlined(function: Function) -> Function:
    """The same, copied into its callers: to pass many arrays takes longer than what a small function does."""
    return cast("Function", _numba().njit(inline="always", **OPTIONS)(function)) if IS_COMPILED else function


def compiled_entry(function: Function) -> Function:
    """`function` compiled, and kept on disk for the next start; as it is without numba."""
    return cast("Function", _numba().njit(cache=True, **OPTIONS)(function)) if IS_COMPILED else function


def compiled_with(function: Function, *called: Callable[..., Any]) -> Function:
    """`function` compiled, whose calls go to `called`: compiled functions, each known by its name."""
    if not IS_COMPILED:
        return function
    names = {each.__name__: each for each in called}
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return compiled(cast("Function", copy))


def unowned(array: Array) -> Array:
    """`array` as it is; compiled, without the reference count that each use of it would raise and lower again."""
    return array


def _numba() -> Any:  # noqa: ANN401  (it has no types)
    import numba

    return numba


def _compiled_unowned() -> Any:  # noqa: ANN401
    """`unowned` for compiled code: the same array, of an owner that is not known."""
    from numba.core import cgutils
    from numba.extending import intrinsic

    def unowned(_context: Any, array: Any) -> Any:  # noqa: ANN401
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            source = context.make_array(array)(context, builder, value=arguments[0])
            made = context.make_array(array)(context, builder)
            tools: Any = cgutils
            tools.copy_struct(made, source)
            made.meminfo, made.parent = (tools.get_null_value(each.type) for each in (made.meminfo, made.parent))
            return made._getvalue()

        return array(array), generate

    return intrinsic(unowned)


if IS_COMPILED:
    unowned = _compiled_unowned()
