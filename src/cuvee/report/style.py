"""What the terminal tables share: glyphs that survive without Unicode and without colour, number formats."""

from collections.abc import Sequence
from typing import Any
from unicodedata import category

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
DIGITS = " 123456789"
"""Shares as one glyph: nothing, then steps up to all of it; the second where the terminal has no blocks."""

HEAT = ("grey23", "dark_green", "green4", "green3", "chartreuse2")
"""Background of a heat cell by share, low to high."""


WIDTH = 100
"""Columns everything fits into; terminals of fewer lose padding, and on wider ones text and charts get no wider."""

WIDEST = 160
"""Columns that tables fold their text to on terminals that have them."""

NARROW = 80
"""Terminals of fewer columns lose what can be read elsewhere as well."""

COMFORTABLE = 14
NARROWEST = 7
"""Columns to which text is folded before other columns are dropped, and after."""


def narrow(console: Console) -> bool:
    """Whether the terminal is too narrow for the full layout."""
    return console.width < NARROW


def column_gap(console: Console) -> int:
    """Columns of blank or rule between two columns of a table."""
    return 1 if console.width < WIDTH else 3


def plain(console: Console) -> bool:
    """Whether the terminal only has ASCII."""
    return not console.encoding.lower().startswith("utf")


def tick(console: Console) -> str:
    """Mark of a chosen row."""
    return "+" if plain(console) else "✓"


def rule(console: Console) -> str:
    """Separator between parts of a line."""
    return " - " if plain(console) else " · "


def literal(text: str) -> str:
    """`text` as one printable line: names come from files, and none may move the cursor or split a row."""
    return "".join("?" if category(character) in ("Cc", "Cs", "Zl", "Zp") else character for character in text)


class LiteralTable(Table):
    """A table whose cells are text, never markup: a model may well be called "[bold]"."""

    def add_row(self, *renderables: RenderableType | None, **options: Any) -> None:  # noqa: ANN401 as of Table
        """Add a row; plain text stays literal."""
        super().add_row(*(Text(literal(each)) if isinstance(each, str) else each for each in renderables), **options)


def new_table(console: Console, *, title: str = "", gap: int | None = None) -> Table:
    """An empty table in the house style: a rule under the header, nothing else.

    Parameters
        gap    Columns of blank between two columns, beside the frame's [-]; by default as the console has room for.
    """
    frame = box.ASCII2 if plain(console) else box.SIMPLE_HEAD
    heading = Text(literal(title)) if title else None
    return LiteralTable(
        box=frame,
        title=heading,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, column_gap(console) // 2) if gap is None else (0, gap, 0, 0),
    )


def fitted(
    table: Table, console: Console, *, fold: Sequence[str], drop: Sequence[str] = (), gap: int | None = None
) -> Table:
    """`table` made to fit the console without losing a character; columns not named here keep their width.

    Parameters
        gap     As of `new_table`.
        fold    Headers of the columns of text; the widest is folded first.
        drop    Headers of columns that can be done without, on a terminal too narrow for folding to help.
    """
    widths = {id(column): _natural_width(column) for column in table.columns}

    def total() -> int:
        between = column_gap(console) if gap is None else gap + 1
        # Frame: a column at either end, and no padding towards it.
        return sum(widths[id(column)] + between for column in table.columns) + 2 - between

    def fold_to(narrowest: int) -> None:
        texts = [column for column in table.columns if column.header in fold]
        while total() > console.width and texts:
            widest = max(texts, key=lambda column: widths[id(column)])
            if widths[id(widest)] <= narrowest:
                return
            widths[id(widest)] -= 1

    fold_to(COMFORTABLE)
    for header in drop:
        if total() > console.width:
            table.columns = [column for column in table.columns if column.header != header]
    fold_to(NARROWEST)
    for column in table.columns:
        column.width, column.overflow, column.no_wrap = widths[id(column)], "fold", False
    return table


def _natural_width(column: Column) -> int:
    cells = (str(cell) for cell in (column.header, *column.cells))
    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def indented(text: str, *, style: str = "") -> RenderableType:
    """A paragraph that stands in by two columns, its continuation lines too."""
    return Constrain(Padding(Text(text, style=style), (0, 0, 0, 2), expand=False), WIDTH)


def dated(as_of: str) -> str:
    """What prices say about their date."""
    return f"prices of {as_of}" if as_of else "prices without a date"


def share_glyph(share: float, console: Console) -> str:
    """One glyph for a share in [0, 1]; a share above 0 is never blank."""
    glyphs = DIGITS if plain(console) else BLOCKS
    if share <= 0:
        return "." if plain(console) else "·"
    return glyphs[max(1, min(len(glyphs) - 1, round(share * (len(glyphs) - 1))))]


def heat_cell(share: float, console: Console) -> Text:
    """A share as a percentage on a background that grows with it; a dot for none, "<1" for a trace."""
    if share <= 0:
        return Text("." if plain(console) else "·", style="dim", justify="right")
    label = "<1" if share < 0.005 else f"{share * 100:.0f}"
    colour = HEAT[min(len(HEAT) - 1, int(share * len(HEAT)))]
    ink = "black" if colour in HEAT[3:] else "white"
    return Text(f"{label:>4}", style=f"{ink} on {colour}")


def rate(value: float) -> str:
    """A rate with three significant digits and no exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
