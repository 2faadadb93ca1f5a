"""The page of a study: complete, self-contained, and proof against names from files."""

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from typing import Any
from xml.etree import ElementTree

import pytest

from cuvee.catalog import Offer, OfferSet
from cuvee.errors import InputError, MissingExtraError
from cuvee.profile.table import Provenance, RateSource
from cuvee.report import chart_page, html, study_page
from cuvee.report.heat import HEAT, colour_of, contrast, ink_on
from cuvee.report.study_figures import (
    BAR_COLOURS,
    COMPARED,
    CURVE_HOVER,
    GIVEN,
    UNKNOWN,
    bars,
    gpus_of,
    heat_map,
    shown,
)
from cuvee.report.study_svg import study_to_svg
from cuvee.study.curves import CURVE_PERCENTILES
from cuvee.study.question import Answer, StudyQuestion
from tests.study.tiny import MODEL, OFFERS, tiny_performance, tiny_study

NO_PLOTLY = "plotly, of the extra [report], is not installed"
LIBRARY = "window.Plotly = {};"
ATTACK = "<img src=x onerror=alert(1)></script><b>&\"'\n\x1b[31m"


class Reader(HTMLParser):
    """Tags with attributes, and the text inside scripts by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: dict[str, str] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it, and hold it open unless it never closes."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It closes the one that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text of the page, or of a script."""
        if self.open and self.open[-1] == "script":
            name = self.tags[-1][1].get("id") or ""
            self.scripts[name] = self.scripts.get(name, "") + data
        elif not self.open or self.open[-1] != "style":
            self.text += data


def read(page: str) -> Reader:
    """The page, every element of which must close."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(autouse=True)
def without_the_library(monkeypatch):
    """Five megabytes of charts are left out where the page alone is looked at."""
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: LIBRARY)


@pytest.fixture(scope="module")
def answer() -> Answer:
    """Two studies of two models."""
    shares = (("llama-3-8b", None), ("llama-3-70b", None))
    return StudyQuestion(shares=shares, workloads=("2455x18", "496x510"), gpus=("A40", "H100", "RTX4090")).answer()


def figures_of(page: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(read(page).scripts["figures"])
    return found


def test_every_choice_has_its_chart(answer):
    """Each chart names figures, and for each combination of what can be chosen there is one."""
    page = study_page.study_page(answer.studies, answer.performances)
    reader, figures = read(page), figures_of(page)
    sizes = {
        attributes["data-choice"]: 0 for tag, attributes in reader.tags if tag == "select" and attributes["data-choice"]
    }
    sizes |= {
        "study": len(answer.studies), "model": 2, "workload": 2, "gpu": len(gpus_of(answer.studies)),
        "percentile": len(CURVE_PERCENTILES),
    }  # fmt: skip
    charts = [attributes for tag, attributes in reader.tags if attributes.get("class") == "chart"]
    assert {chart["data-figures"] for chart in charts} == set(figures)
    for chart in charts:
        choices = [range(sizes[name]) for name in str(chart["data-key"]).split()]
        keys = {"|".join(map(str, choice)) for choice in product(*choices)}
        assert keys == set(figures[str(chart["data-figures"])])


def test_every_gpu_type_is_in_every_chart(answer):
    """Bars, lines and rows: one for each GPU type that serves the request, none twice."""
    figures = figures_of(study_page.study_page(answer.studies, answer.performances))
    names = {"A40", "H100-SXM", "RTX4090"}
    for key, figure in figures["bars"].items():
        assert sorted(name for trace in figure["data"] for name in trace["y"]) == sorted(names), key
    for kind in ("curves", "percentiles"):
        for key, figure in figures[kind].items():
            assert sorted(trace["name"] for trace in figure["data"]) == sorted(names), key
            assert all(len(trace["x"]) == len(trace["y"]) > 1 for trace in figure["data"]), key
    for figure in figures["heat"].values():
        assert set(figure["data"][0]["y"]) == names


def test_plotly_knows_every_attribute(answer):
    """Each figure is one by the rules of Plotly itself."""
    graph_objects = pytest.importorskip("plotly.graph_objects", reason=NO_PLOTLY)
    figures = figures_of(study_page.study_page(answer.studies, answer.performances))
    for kind in figures.values():
        graph_objects.Figure(next(iter(kind.values())))


def test_bars_show_the_band():
    """A rate of 8 with a band of 5 % reaches from 8 / 1.05 to 8 x 1.05; known and assumed bands are told apart."""
    known, assumed = bars(tiny_study(errors={"A40": 0.05}), MODEL.name, "short")["data"]
    assert (known["y"], assumed["y"]) == (["A40"], ["H100-SXM"])
    assert known["error_x"]["array"] == pytest.approx([8 * 0.05])
    assert known["error_x"]["arrayminus"] == pytest.approx([8 - 8 / 1.05], rel=1e-3)
    assert assumed["marker"]["pattern"]["shape"]
    assert not known["marker"]["pattern"]["shape"]


def test_bars_say_what_stands_behind_the_error():
    """Measured rates are told apart from estimates that public figures back. Tempting: any known error is of those."""
    study = tiny_study(errors={"A40": 0.05})
    assert [trace["name"] for trace in bars(study, MODEL.name, "short")["data"]] == [GIVEN, UNKNOWN]
    source = RateSource(Provenance.ESTIMATED, "constants", "2026-01-01")
    estimates = replace(study, entries=tuple(replace(each, rate_source=source) for each in study.entries))
    found = bars(estimates, MODEL.name, "short")["data"]
    assert [trace["name"] for trace in found] == [COMPARED, UNKNOWN]
    assert len({GIVEN, COMPARED, UNKNOWN}) == len(set(BAR_COLOURS.values())) == 3


def test_measured_rates_claim_no_public_figures():
    """A page of rates that the user measured names their source and date, and no public figure."""
    text = " ".join(read(study_page.study_page([tiny_study()], [tiny_performance()])).text.split())
    assert "measured: 6 of 6 rates, on A40, H100-SXM, ±5%: by hand, 2026-01-01" in text
    assert "public figures behind" not in text
    assert "the figures here are estimates" not in text


def test_one_kind_of_request_is_no_range():
    """Tempting: "45.99 to 45.99 times", and "1 of the 1 leads"."""
    study = tiny_study()
    one = replace(study, asked=replace(study.asked, workloads=study.asked.workloads[:1]))
    text = " ".join(read(study_page.study_page([one], [tiny_performance()])).text.split())
    assert ", 1.88 times as many requests per dollar as the next. This lead is outside the errors." in text


def test_the_heat_map_is_of_the_best():
    """Each column has one cell of 1; the A40 has 2 of 3.75 on long requests, the H100 5 of 8 on short ones."""
    trace, over = heat_map(tiny_study(), MODEL.name)["data"]
    assert trace["y"] == ["A40", "H100-SXM"]
    assert trace["z"] == [[pytest.approx(2 / 3.75, rel=1e-3), 1.0], [1.0, 0.625]]
    assert list(zip(over["y"], over["text"], strict=True)) == [
        ("A40", "2.00"), ("A40", "8.00 ★"), ("H100-SXM", "3.75 ★"), ("H100-SXM", "5.00"),
    ]  # fmt: skip


def test_nothing_is_loaded_from_elsewhere(answer):
    """No element refers to anything outside the file, and the policy keeps a browser from fetching."""
    page = study_page.study_page(answer.studies, answer.performances)
    for tag, attributes in read(page).tags:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w|@import|url\(", page)
    policies = [meta["content"] for tag, meta in read(page).tags if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [chart_page.POLICY]
    assert "default-src 'none'" in chart_page.POLICY


def test_the_answer_comes_first(answer):
    """Who is cheapest stands before any chart, with what it rests on."""
    text = read(study_page.study_page(answer.studies, answer.performances)).text
    assert text.index("Which GPU for which request") < text.index("GPU types beside each other")
    assert "no accuracy is claimed" in " ".join(text.split())
    for words in ("As a table", "Method and assumptions", "Where the prices come from", "The paper's observations"):
        assert words in text


def test_more_kinds_of_request_than_a_page_can_show():
    """The message says how to ask for fewer."""
    workloads = tuple(f"{length}x10" for length in range(100, 100 + study_page.MOST_KINDS + 1))
    answer = StudyQuestion((("llama-3-8b", None),), ("A40",), ("paper",), workloads=workloads).answer()
    with pytest.raises(InputError, match="a page of 31 kinds of request"):
        study_page.study_page(answer.studies, answer.performances)


def test_names_from_files_are_text():
    """Neither HTML nor Plotly nor a script takes a name of a file for markup."""
    offers = OfferSet(
        ATTACK, tuple(Offer(o.gpu, ATTACK, o.price_usd_per_hour, num_gpus=o.num_gpus, machine_gpus=8, as_of=ATTACK,
                            source=ATTACK, instance=ATTACK) for o in OFFERS.offers), as_of=ATTACK, source=ATTACK,
        notes=(ATTACK,),
    )  # fmt: skip
    page = study_page.study_page([tiny_study(offers=offers)], [tiny_performance()])
    assert "<img" not in page
    assert "\x1b" not in page
    assert page.count("</script>") == 3  # data, library and our own
    hovers = figures_of(page)["heat"]["0|0"]["data"][0]["customdata"][0][0]
    assert "<img" not in hovers
    assert shown(ATTACK) in hovers


def test_the_library_is_kept_from_ending_its_element(monkeypatch):
    """plotly.js stands inside a script element whatever text it holds."""
    monkeypatch.undo()
    offline = pytest.importorskip("plotly.offline", reason=NO_PLOTLY)
    monkeypatch.setattr(offline, "get_plotlyjs", lambda: "var a = '</script><b>';")
    assert "</script" not in chart_page.plotly_js("a page")


def test_without_plotly(monkeypatch):
    """The message names the extra that brings it."""
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"cuvee\[report\]"):
        chart_page.plotly_js("a page")


def test_the_writer_escapes():
    """Children, attributes and cells; what is markup already stays."""
    assert html.tag("p", "<b>", title='"x"') == '<p title="&quot;x&quot;">&lt;b&gt;</p>'
    assert html.tag("p", html.tag("b", "&")) == "<p><b>&amp;</b></p>"
    assert "&lt;i&gt;" in html.table(["<i>"], [["<i>", "1"]], caption="c")
    assert html.embedded_json("x", {"a": "</script>"}).count("</script>") == 1
    assert "%{x" in CURVE_HOVER


def test_the_picture():
    """The leaders of both kinds of request are marked, and names of files stay text."""
    picture = ElementTree.fromstring(study_to_svg(tiny_study()))
    texts = ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"3.75 ★", "8.00 ★", "2.00", "5.00", "A40", "H100-SXM", MODEL.name} <= set(texts)
    hostile = replace(OFFERS, name=ATTACK)
    assert ElementTree.fromstring(study_to_svg(tiny_study(offers=hostile))) is not None


def test_every_cell_can_be_read():
    """Its text has a contrast of 4.5 at least, whatever its share. Tempting: white from some share on."""
    for percent in range(101):
        colour = colour_of(percent / 100)
        assert contrast(ink_on(colour), colour) >= 4.5, percent
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", colour_of(0.7)) < 4.5
    cells, over = heat_map(tiny_study(), MODEL.name)["data"]
    shares = [share for row in cells["z"] for share in row]
    assert over["textfont"]["color"] == [ink_on(colour_of(share, HEAT)) for share in shares]


def test_colours_of_the_picture():
    """Those of the scale at its stops, mixed between them."""
    assert colour_of(0.0) == "#f7fbff"
    assert colour_of(1.0) == "#08306b"
    assert colour_of(0.5, ((0.0, "#000000"), (1.0, "#204060"))) == "#102030"
