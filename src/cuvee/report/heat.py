"""Cells of heat maps: a colour for a share, and the ink that can be read on it."""

from collections.abc import Sequence
from itertools import pairwise

Stops = Sequence[tuple[float, str]]

HEAT = (
    (0.0, "#f7fbff"), (0.3, "#deebf7"), (0.6, "#9ecae1"), (0.75, "#3182bd"), (0.9, "#08519c"), (1.0, "#08306b")
)  # fmt: skip
"""Light to dark blue: one hue, so that only lightness tells, and little ink on paper. Source: ColorBrewer, Blues."""

INKS = ("#000000", "#ffffff")


def colour_of(share: float, stops: Stops = HEAT) -> str:
    """Colour of a share of the best, between the stops of the scale."""
    for (low, start), (high, end) in pairwise(stops):
        if share <= high:
            part = (share - low) / (high - low)
            mixed = (round(a + (b - a) * part) for a, b in zip(_parts(start), _parts(end), strict=True))
            return "#" + "".join(f"{value:02x}" for value in mixed)
    return stops[-1][1]


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on a colour."""
    return max(INKS, key=lambda ink: contrast(ink, colour))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 [-]; text of usual size wants 4.5.

    Source      Web Content Accessibility Guidelines 2.2, "contrast ratio" and "relative luminance".
    """
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in _parts(colour))
    ]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _parts(colour: str) -> list[int]:
    """Red, green and blue of "#rrggbb"."""
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
