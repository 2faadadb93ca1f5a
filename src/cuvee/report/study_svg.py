"""The study as a picture: a heat map for each model, GPU types beside each other on every kind of request."""

from collections.abc import Iterator

from cuvee.report.heat import colour_of, ink_on
from cuvee.report.study_text import lengths_text, number, prices_title
from cuvee.report.svg import document, element
from cuvee.study.entry import Entry
from cuvee.study.given import given_rates
from cuvee.study.leads import Lead, lead
from cuvee.study.study import Study

LEFT, TOP = 24.0, 80.0
NAME_WIDTH, CELL_WIDTH, CELL_HEIGHT = 140.0, 70.0, 22.0
TITLE_HEIGHT, PANEL_GAP = 52.0, 26.0
"""Sizes [px]."""

MOST_TYPES = 12
"""Kinds of request side by side [-]; the picture leaves out further ones."""

KEY = "★ the most, = tied with it: the lead is inside the errors; each the best way to cut eight GPUs into replicas"


def study_to_svg(study: Study) -> str:
    """The picture of a study."""
    workloads = study.asked.workloads[:MOST_TYPES]
    whose = "given rates and estimates" if given_rates(study) else "estimates"
    height = TOP
    children: list[str] = [
        element("text", "Requests a second for a dollar an hour", x=LEFT, y=30, class_="strong"),
        element(
            "text",
            f"{prices_title(study)}; {whose} for {study.engine.name}",
            x=LEFT,
            y=52,
            class_="faint",
        ),
        element("text", KEY, x=LEFT, y=70, class_="faint"),
    ]
    for model in study.models:
        children += _panel(study, model.name, height)
        height += TITLE_HEIGHT + CELL_HEIGHT * len(study.gpus) + PANEL_GAP
    width = max(2 * LEFT + NAME_WIDTH + CELL_WIDTH * len(workloads), 860.0)
    return document(width, height, children, title=f"Requests per dollar of GPU types, {prices_title(study)}")


def _panel(study: Study, model: str, top: float) -> Iterator[str]:
    """Title, header and rows of one model."""
    workloads = study.asked.workloads[:MOST_TYPES]
    yield element("text", model, x=LEFT, y=top + 24, class_="strong")
    leads = [lead(study, model, kind.name) for kind in workloads]
    for column, kind in enumerate(workloads):
        x = LEFT + NAME_WIDTH + CELL_WIDTH * (column + 0.5)
        yield element("text", lengths_text(kind), x=x, y=top + TITLE_HEIGHT - 8, text_anchor="middle", class_="faint")
    for row, gpu in enumerate(study.gpus):
        y = top + TITLE_HEIGHT + CELL_HEIGHT * row
        yield element("text", gpu.name, x=LEFT, y=y + 15)
        found = [study.best(model, gpu.name, kind.name) for kind in workloads]
        for column, (entry, first) in enumerate(zip(found, leads, strict=True)):
            yield from _cell(entry, first, LEFT + NAME_WIDTH + CELL_WIDTH * column, y)


def _cell(entry: Entry | None, found: Lead | None, x: float, y: float) -> Iterator[str]:
    if entry is None or found is None:
        return
    share = found.share_of(entry)
    colour = colour_of(share)
    yield element("rect", x=x, y=y, width=CELL_WIDTH - 2, height=CELL_HEIGHT - 2, style=f"fill: {colour}")
    mark = " ★" if entry is found.first else " =" if entry.gpu in found.ties else ""
    text = f"{number(entry.efficiency)}{mark}"
    yield element(
        "text", text, x=x + CELL_WIDTH / 2 - 1, y=y + 15, text_anchor="middle", style=f"fill: {ink_on(colour)}"
    )
