"""Fields of result files: nested objects whose errors say where they stand, and what must hold of a figure."""

import re
from datetime import UTC, datetime

from cuvee.catalog.records import Record
from cuvee.catalog.tables import records_of
from cuvee.errors import InputError
from cuvee.profile.figures import ANY, figure, range_text
from cuvee.profile.imports.load_point import PERCENTILES, Deployment, Latency

MAX_COUNT = 1_000_000
TIMES_S = (1e9, 1e10)
"""Counts of seconds that are times: from 2001 to 2286 [s]."""

TIME = re.compile(r"(20\d\d)-?([01]\d)-?([0-3]\d)(?:[-T ]|$)")
"""The day that a time begins with, as in 2026-09-30T12:00:00 or 20260930-120000."""

AGAIN = "run the load generator again, or leave the file out"


def inner(record: Record, *names: str) -> Record:
    """The object at a path of names; raises InputError where there is none."""
    for name in names:
        value = record.values.get(name)
        if not isinstance(value, dict):
            raise record.error(name, "an object", AGAIN)
        record = Record(f"{record.place}{'.' if ': ' in record.place else ': '}{name}", value)
    return record


def maybe_inner(record: Record, *names: str) -> Record | None:
    """The object at a path of names; None where one of them is absent or null."""
    for name in names:
        if record.values.get(name) is None:
            return None
        record = inner(record, name)
    return record


def items(record: Record, name: str) -> list[Record]:
    """The objects of a list; raises InputError where there is no list, or an empty one."""
    found = records_of(record.values.get(name), f"{record.place}: {name}", "a list of objects")
    if not found:
        raise InputError(f"{record.place}: {name} is empty", expected="at least one entry", remedy=AGAIN)
    return found


def above_zero(record: Record, name: str, unit: str, span: tuple[float, float] | None = None) -> float:
    """A figure within the range of its unit, or within `span`."""
    return figure(record, name, unit, span=span, remedy=AGAIN)


def maybe_above_zero(record: Record, name: str, unit: str) -> float | None:
    """Such a figure; None where absent, null or 0, which tools write for what they did not measure."""
    value = record.values.get(name)
    if value is None or value == "" or record.number(name, range_text(unit)) == 0:
        return None
    return figure(record, name, unit, remedy=AGAIN)


def maybe_count(record: Record, name: str) -> int | None:
    """A whole number of 0 or more; None where absent."""
    if record.values.get(name) is None or record.values.get(name) == "":
        return None
    number = record.number(name, "a whole number")
    if not (number.is_integer() and 0 <= number <= ANY[1]):
        raise record.error(name, "a whole number of 0 or more", AGAIN)
    return int(number)


def maybe_text(record: Record, name: str) -> str | None:
    """A text; None where absent or empty."""
    return record.text(name) or None


def day(record: Record, name: str) -> str:
    """Day of a time that a tool wrote, in UTC where it counts seconds; "" where it is none."""
    value, text = record.values.get(name), record.text(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and TIMES_S[0] < value < TIMES_S[1]:
        return datetime.fromtimestamp(value, UTC).date().isoformat()
    if found := TIME.match(text):
        return "-".join(found.groups())
    return ""


def answered(record: Record, name: str) -> int:
    """Requests that were answered [-]; raises InputError where none were."""
    count = maybe_count(record, name)
    if not count:
        raise record.error(name, "at least one request that was answered", AGAIN)
    return count


def latency(record: Record, mean: str, percentile: str, unit: str, per_second: float = 1e3) -> Latency | None:
    """A latency by the name of its mean and a pattern of those of its percentiles, e.g. "p{}_ttft_ms".

    Parameters
        per_second    Units of the file in a second: 1e3 for milliseconds [-].
    """

    def seconds(name: str) -> float | None:
        value = maybe_above_zero(record, name, unit)
        return None if value is None else value / per_second

    average_s = seconds(mean)
    if average_s is None:
        return None
    found = {each: seconds(percentile.format(each)) for each in PERCENTILES}
    return Latency(average_s, {each: value_s for each, value_s in found.items() if value_s is not None})


def deployment_of(record: Record) -> Deployment:
    """What served, from fields named as those of `Deployment`; empty ones say nothing.

    Raises      InputError: a list in place of a name, a count below 1.
    """

    def count(name: str) -> int | None:
        return None if record.is_empty(name) else record.count(name, default=1, high=MAX_COUNT)

    return Deployment(
        gpu=maybe_text(record, "gpu"),
        model=maybe_text(record, "model"),
        engine=maybe_text(record, "engine"),
        engine_version=maybe_text(record, "engine_version"),
        tp=count("tp"),
        pp=count("pp"),
        replicas=count("replicas"),
        weights=maybe_text(record, "weights"),
        kv=maybe_text(record, "kv"),
    )
