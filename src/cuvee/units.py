"""Units and their conversions; every quantity in the code carries its unit as a suffix.

`_gb` is 10^9 bytes, `_gib` 2^30 bytes, `_tflops` 10^12 floating-point operations a second,
`_gb_per_s` 10^9 bytes a second in one direction, `_usd_per_hour` US dollars an hour.
"""

from typing import Final

BYTES_PER_GB: Final = 1e9
BYTES_PER_GIB: Final = 2.0**30
BYTES_PER_MIB: Final = 2.0**20
FLOPS_PER_TFLOPS: Final = 1e12
SECONDS_PER_HOUR: Final = 3600.0
SECONDS_PER_DAY: Final = 86400.0
HOURS_PER_DAY: Final = 24.0
MS_PER_S: Final = 1e3
US_PER_S: Final = 1e6
TOKENS_PER_PRICE_UNIT: Final = 1e6
GBIT_PER_GB: Final = 8.0


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 point", "1,200 points"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def rounded(value: float, digits: int = 3) -> str:
    """A number for people: so many digits, and all before the point: "0.0512", "45.1", "5,000" and never "5e+03"."""
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def is_number(text: str) -> bool:
    """Whether Python reads a text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
