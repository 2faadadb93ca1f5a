"""Axes of charts: round places for ticks, and how they are written."""

import math

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers in [low, high], evenly spaced, at most `most` and as many as that allows."""
    if not high > low:
        return [low]
    decade = 10.0 ** math.floor(math.log10((high - low) / most))
    spacings = [step * decade * factor for factor in (1.0, 10.0) for step in STEPS]
    for spacing in spacings:
        first, last = math.ceil(low / spacing - 1e-9), math.floor(high / spacing + 1e-9)
        if last - first + 1 <= most:
            return [number * spacing for number in range(first, last + 1)]
    return [low]


def tick_label(value: float) -> str:
    """A tick without digits that say nothing."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.6g}"
