"""What the terminal tables share: glyphs that survive without Unicode and without colour, number formats."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
DIGITS = " 123456789"
"""Shares as one glyph: nothing, then steps up to all of it; the second where the terminal has no blocks."""

HEAT = ("grey23", "dark_green", "green4", "green3", "chartreuse2")
"""Background of a heat cell by share, low to high."""


def plain(console: Console) -> bool:
    """Whether the terminal only has ASCII."""
    return not console.encoding.lower().startswith("utf")


def tick(console: Console) -> str:
    """Mark of a chosen row."""
    return "+" if plain(console) else "✓"


def rule(console: Console) -> str:
    """Separator between parts of a line."""
    return " - " if plain(console) else " · "


def new_table(console: Console, *, title: str = "") -> Table:
    """An empty table in the house style: a rule under the header, nothing else."""
    frame = box.ASCII2 if plain(console) else box.SIMPLE_HEAD
    return Table(box=frame, title=title or None, title_justify="left", title_style="bold", pad_edge=False)


def share_glyph(share: float, console: Console) -> str:
    """One glyph for a share in [0, 1]; a share above 0 is never blank."""
    glyphs = DIGITS if plain(console) else BLOCKS
    if share <= 0:
        return "." if plain(console) else "·"
    return glyphs[max(1, min(len(glyphs) - 1, round(share * (len(glyphs) - 1))))]


def heat_cell(share: float) -> Text:
    """A share as a percentage on a background that grows with it; blank for none, "<1" for a trace."""
    if share <= 0:
        return Text("·", style="dim", justify="right")
    label = "<1" if share < 0.005 else f"{share * 100:.0f}"
    colour = HEAT[min(len(HEAT) - 1, int(share * len(HEAT)))]
    ink = "black" if colour in HEAT[3:] else "white"
    return Text(f"{label:>4}", style=f"{ink} on {colour}")


def rate(value: float) -> str:
    """A rate with three significant digits and no exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
