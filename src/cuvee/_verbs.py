"""Packages that are verbs: `cuvee.plan` is a package and `cuvee.plan(problem)` plans.

A package and a function of one name would shadow each other, depending on what was imported first.
"""

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


class Verb(ModuleType):
    """A package that can be called; the call goes to the function `__verb__` names, as "module:function"."""

    __verb__: str

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's own signature, for help and editors."""
        return inspect.signature(self._function())

    def _function(self) -> Callable[..., Any]:
        module, function = self.__verb__.split(":")
        found: Callable[..., Any] = getattr(import_module(module), function)
        return found

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 whatever the function takes and gives
        """Call the package's verb."""
        return self._function()(*arguments, **options)


def make_verb(package: str, function: str) -> None:
    """Make the package named `package`, while it is imported, callable as `function` ("module:function")."""
    module = sys.modules[package]
    module.__class__ = Verb
    module.__verb__ = function  # type: ignore[attr-defined]
