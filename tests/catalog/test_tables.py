"""CSV that we write is read back as it was, and is no formula to a spreadsheet."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.catalog.tables import csv_text, parse_csv


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x","y")', "'=1", "-"])
def test_a_text_is_no_formula(text):
    """A served model may be called "=1+1". Tempting: to write it as it is, and a spreadsheet computes it."""
    written = csv_text(("name",), [(text,)])
    cell = list(csv.reader(StringIO(written, newline="")))[1][0]
    assert cell == f"'{text}"
    assert next(parse_csv(written, "x")[1]).values["name"] == text


@pytest.mark.parametrize("number", ["-0.5", "+3", "-1e-6", -2, "-inf"])
def test_numbers_stay_numbers(number):
    """A negative number is no formula."""
    assert csv_text(("x",), [(number,)]) == f"x\n{number}\n"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12))
def test_any_text_comes_back(text):
    """Whatever it begins with, quotes of its own included."""
    found = list(parse_csv(csv_text(("name", "y"), [(text, "1")]), "x")[1])
    assert [record.values["name"] for record in found] == [text]
