"""A small writer of HTML: every text is escaped, and nothing is loaded from elsewhere."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cuvee.report.style import literal


class Markup(str):
    """Text that is HTML already; everything else is escaped."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | bool) -> Markup:
    """An element; `class_` stands for class and "_" for "-" in names, True for an attribute without a value."""
    written = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{escape(literal(str(value)))}"'
        for key, value in attributes.items()
        if value is not False
    )
    return Markup(f"<{name}{written}>{''.join(map(text_of, children))}</{name}>")


def text_of(text: str) -> str:
    """`text` as HTML may hold it."""
    return text if isinstance(text, Markup) else escape(literal(text))


def joined(parts: Iterable[str]) -> Markup:
    """Several elements side by side."""
    return Markup("\n".join(map(text_of, parts)))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str) -> Markup:
    """A table whose first column names its rows; cells that look like numbers stand to the right."""
    head = tag("tr", *(tag("th", cell, scope="col") for cell in header))
    body = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell, **_alignment(cell)) for cell in rest))
        for first, *rest in rows
    ]
    inside = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", inside, class_="scroll", tabindex="0", role="region", aria_label=caption)


def select(name: str, label: str, options: Sequence[str], chosen: int = 0) -> Markup:
    """A choice by index."""
    items = [tag("option", text, value=str(index), selected=index == chosen) for index, text in enumerate(options)]
    return tag("label", tag("span", label), tag("select", *items, data_choice=name))


def embedded_json(name: str, value: Mapping[str, Any]) -> Markup:
    """Data for a script of the page; no text in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _alignment(cell: str) -> dict[str, str]:
    return {"class_": "number"} if cell[:1].isdigit() and not isinstance(cell, Markup) else {}
