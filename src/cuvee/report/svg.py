"""A small writer of SVG pictures, legible on light and on dark pages; nothing in them is loaded from elsewhere."""

from collections.abc import Iterable
from html import escape
from unicodedata import category

STYLE = """
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; fill: #1f2328 }
.page { fill: #ffffff }
.strong { font-size: 16px; font-weight: 600 }
.faint { fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.axis { stroke: #59636e; stroke-width: 1 }
.curve { fill: none; stroke: #0969da; stroke-width: 2; stroke-linejoin: round }
.dot { fill: #0969da }
.band { fill: #0969da; fill-opacity: 0.16 }
.guide { fill: none; stroke: #bc4c00; stroke-width: 1.2; stroke-dasharray: 5 4 }
.jump { fill: none; stroke: #1a7f37; stroke-width: 4 }
.leader { stroke: #59636e; stroke-width: 1 }
.good { fill: #1a7f37 }
.knee { fill: #bc4c00 }
.badge { fill: #ffffff; font-size: 11px; font-weight: 600; text-anchor: middle }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .page { fill: #0d1117 }
  .faint { fill: #9198a1 }
  .grid { stroke: #30363d }
  .axis, .leader { stroke: #9198a1 }
  .curve { stroke: #58a6ff }
  .dot, .band { fill: #58a6ff }
  .guide { stroke: #f0883e }
  .jump { stroke: #3fb950 }
  .good { fill: #3fb950 }
  .knee { fill: #f0883e }
  .badge { fill: #0d1117 }
}
"""


def document(width: float, height: float, children: Iterable[str], *, title: str) -> str:
    """A whole picture with a page behind it and a title for those who cannot see it."""
    page = element("rect", width=width, height=height, rx=8, class_="page")
    inside = "\n".join([f"<title>{text_of(title)}</title>", f"<style>{STYLE}</style>", page, *children])
    box = f"0 0 {_number(width)} {_number(height)}"
    size = f'width="{_number(width)}" height="{_number(height)}" viewBox="{box}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n{inside}\n</svg>\n'


def element(name: str, content: str = "", **attributes: float | str) -> str:
    """An element; `content` is literal text, `class_` stands for class and "_" for "-" in names."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value) if isinstance(value, (int, float)) else escape(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{text_of(content)}</{name}>" if content else f"<{name}{written}/>"


def path(points: Iterable[tuple[float, float]], *, closed: bool = False, class_: str) -> str:
    """A line through `points`."""
    steps = " L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    return element("path", d=f"M{steps}{' Z' if closed else ''}", class_=class_)


def text_of(text: str) -> str:
    """`text` as XML may hold it: names come from files."""
    return escape("".join("?" if category(each) in ("Cc", "Cs", "Zl", "Zp", "Cn") else each for each in text))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
