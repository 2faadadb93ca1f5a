"""Packages that are verbs: `cuvee.plan` is a package and `cuvee.plan(problem)` plans.

A package and a function of one name would shadow each other, depending on what was imported first.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class Verb(ModuleType):
    """A package that can be called; the call goes to the function `__verb__` names, as "module:function"."""

    __verb__: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 whatever the function takes and gives
        """Call the package's verb."""
        module, function = self.__verb__.split(":")
        return getattr(import_module(module), function)(*arguments, **options)


def make_verb(package: str, function: str) -> None:
    """Make the package named `package`, while it is imported, callable as `function` ("module:function")."""
    module = sys.modules[package]
    module.__class__ = Verb
    module.__verb__ = function  # type: ignore[attr-defined]
