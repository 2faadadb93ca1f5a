"""Rows of offer files, whatever their format, with checked fields that know where they stand."""

import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass

from cuvee.errors import InputError

MAX_PRICE_USD_PER_HOUR = 10_000.0
"""Highest price of one rental unit believed [$/h]; a larger one is a monthly price or a slip."""

MIN_PRICE_USD_PER_HOUR = 0.001
"""Lowest price of one rental unit believed [$/h]."""

MAX_GPUS_PER_UNIT = 1024
MAX_STOCK = 1_000_000

DATE = re.compile(r"((?:19|20)\d\d(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?)(?:[T ].*)?")
"""A year, or a year and a month, or a day, perhaps with a time behind it."""

YES = frozenset({"yes", "true", "1", "spot"})
NO = frozenset({"no", "false", "0", "on-demand", "ondemand", ""})


@dataclass(frozen=True)
class Record:
    """One row of a CSV, or one object of a JSON or YAML list.

    Attributes
        place     Where it stands, e.g. "prices.csv:7" or "offers.json: offers[3]".
        values    Fields by name: text in a CSV, any JSON type elsewhere.
    """

    place: str
    values: Mapping[str, object]

    def text(self, field: str, default: str = "") -> str:
        """Text of a field; `default` where absent or empty. Lists and objects are refused."""
        value = self.values.get(field)
        if value is None:
            return default
        if isinstance(value, (list, dict)):
            raise self.error(field, "plain text")
        return str(value).strip() or default

    def is_empty(self, field: str) -> bool:
        """Whether the field is absent, empty, or says "nan" as data frames write for empty."""
        return self.text(field).lower() in ("", "nan", "none", "null")

    def number(self, field: str, expected: str) -> float:
        """Finite number of a field; raises InputError that names `expected`."""
        value = self.values.get(field)
        text = self.text(field)
        try:
            # float() reads "1_000" and booleans; a price list means neither.
            number = float(text) if "_" not in text and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self.error(field, expected)
        return number

    def price(self, field: str) -> float:
        """Price of one rental unit [$/h]."""
        expected = f"a price from {MIN_PRICE_USD_PER_HOUR:g} to {MAX_PRICE_USD_PER_HOUR:g} $/h, such as 2.99"
        price = self.number(field, expected)
        if not MIN_PRICE_USD_PER_HOUR <= price <= MAX_PRICE_USD_PER_HOUR:
            raise self.error(field, expected)
        return price

    def count(self, field: str, *, default: int, low: int = 1, high: int = MAX_GPUS_PER_UNIT) -> int:
        """Whole number from `low` to `high`; `default` where empty."""
        if self.is_empty(field):
            return default
        expected = f"a whole number from {low} to {high}"
        number = self.number(field, expected)
        if not (number.is_integer() and low <= number <= high):
            raise self.error(field, expected)
        return int(number)

    def stock(self, field: str) -> int | None:
        """Rental units available; None where empty or "unknown", 0 for "none"."""
        text = self.text(field).lower()
        if text in ("", "unknown", "nan"):
            return None
        return 0 if text == "none" else self.count(field, default=0, low=0, high=MAX_STOCK)

    def flag(self, field: str) -> bool:
        """Yes or no; no where empty."""
        text = self.text(field).lower()
        if text not in YES | NO:
            raise self.error(field, "yes or no")
        return text in YES

    def date(self, field: str) -> str:
        """Date as year, month and day, "" where empty; a time behind it is left aside."""
        text = "" if self.is_empty(field) else self.text(field)
        found = DATE.fullmatch(text)
        if text and not found:
            raise self.error(field, "a date such as 2026-09-30")
        return found[1] if found else ""

    def error(self, field: str, expected: str, remedy: str = "") -> InputError:
        """Error about the value of `field`."""
        value = reprlib.repr(self.values.get(field))
        found = f"{field} = {value}" if field in self.values else f"no field {field!r}"
        return InputError(f"{self.place}: {found}", expected=expected, remedy=remedy or "correct the file")
