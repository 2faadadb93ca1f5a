"""What a measured figure may be: one range for each unit, whichever file or column it stands in."""

from cuvee.catalog.records import Record

RATE_REQ_PER_S = (1e-6, 1e6)
"""From one request in eleven days to more than any fleet serves [req/s]."""

MEAN_TOKENS = (1.0, 1e8)
"""Mean length of a prompt or an answer [tokens]."""

LATENCY_S = (1e-9, 1e6)
"""From what a clock tells apart to eleven days [s]; events that arrive together are nanoseconds apart."""

REQUESTS = (0.001, 1e9)
"""Requests, counted or under way [-]; a mean over time may be below one."""

SHARE = (1e-6, 100.0)
"""Error of a figure, as a share of it [-]."""

RANGES = {
    "req/s": RATE_REQ_PER_S,
    "queries/s": RATE_REQ_PER_S,
    "tokens/s": (1e-6, 1e9),
    "tokens": MEAN_TOKENS,
    "ns": (1.0, 1e15),
    "us": (1e-3, 1e12),
    "ms": (1e-6, 1e9),
    "ms/token": (1e-6, 1e9),
    "s": LATENCY_S,
    "s/token": LATENCY_S,
    "requests": REQUESTS,
    "a share": SHARE,
}
"""Lowest and highest value by unit as files write it."""

ANY = (1e-9, 1e12)
"""Of every other unit."""


def range_text(unit: str, span: tuple[float, float] | None = None) -> str:
    """What is expected of a figure, e.g. "a number from 0.000001 to 1,000,000 [req/s]"."""
    low, high = span or RANGES.get(unit, ANY)
    return f"a number from {f'{low:.9f}'.rstrip('0').rstrip('.')} to {high:,.0f} [{unit}]"


def figure(record: Record, name: str, unit: str, *, span: tuple[float, float] | None = None, remedy: str = "") -> float:
    """A figure of a record, within the range of its unit; raises InputError with that range.

    Parameters
        unit    As in `RANGES`.
        span    Another range [unit], such as that of a total.
    """
    low, high = span or RANGES.get(unit, ANY)
    expected = range_text(unit, span)
    number = record.number(name, expected)
    if not low <= number <= high:
        raise record.error(name, expected, remedy)
    return number
