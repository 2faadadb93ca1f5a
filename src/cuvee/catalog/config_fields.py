"""Typed reading of a config.json: every wrong field becomes an InputError that names file and field."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cuvee.errors import InputError


@dataclass(frozen=True)
class ConfigFields:
    """Fields of one JSON object and the file they stand in.

    Attributes
        values    The object.
        where     File, and the key path inside it, for messages.
    """

    values: Mapping[str, Any]
    where: str

    def has(self, key: str) -> bool:
        """Whether `key` is there and not null."""
        return self.values.get(key) is not None

    def whole(self, key: str, *, default: int | None = None, low: int = 1, high: int = 10_000_000) -> int:
        """Whole number from `low` to `high`; `default` where the key is absent or null."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        expected = f"a whole number from {low} to {high}"
        if value is None:
            raise InputError(f"{self.where}: no field {key!r}", expected=expected, remedy=f"add {key} to the file")
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, expected)
        return value

    def first_whole(self, keys: tuple[str, ...], *, high: int = 10_000_000) -> int:
        """Whole number under the first of `keys` that is there."""
        return self.whole(next((key for key in keys if self.has(key)), keys[0]), high=high)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false; `default` where absent or null."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def text(self, key: str, *, default: str = "") -> str:
        """Text; `default` where absent or null."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(key, "text")
        return value

    def items(self, key: str, kind: type) -> list[Any]:
        """List whose entries are all of `kind`; empty where absent or null."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            raise self.error(key, f"a list of {kind.__name__}")
        return value

    def object(self, key: str) -> "ConfigFields":
        """Object under `key`; empty where absent or null."""
        value = self.values.get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.error(key, "a JSON object")
        return ConfigFields(value, f"{self.where}: {key}")

    def error(self, key: str, expected: str) -> InputError:
        """Error about the value of `key`."""
        return InputError(
            f"{self.where}: {key} = {reprlib.repr(self.values.get(key))}",
            expected=expected,
            remedy="check the file against the model's own config.json",
        )
