"""Demand series in: columns, clocks, steps, and files that cannot be used."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.errors import CuveeError, InputError, UnknownNameError
from cuvee.workload.series import DemandSeries, load_series, series_names

HOUR = 3600.0


@pytest.mark.parametrize("name", ["servegen_m_small_demand.csv.gz", "servegen_m_mid_demand.csv.gz"])
def test_servegen_series(shared_trace, name):
    """14 days in steps of 10 minutes; columns beside time and rate are not read."""
    series = load_series(shared_trace(name))
    assert (len(series.clock_s), series.step_s) == (14 * 144, 600.0)
    assert series.clock_s[-1] == 14 * 86400 - 600
    assert series.notes == ()


def test_the_built_in_series_is_servegen_by_the_hour(shared_trace):
    """Every hour is the mean of its six steps; the same name as any user writes it."""
    built_in = load_series("ServeGen-Small")
    whole = load_series(shared_trace("servegen_m_small_demand.csv.gz"))
    assert built_in.rate_req_per_s == pytest.approx(whole.rate_req_per_s.reshape(-1, 6).mean(axis=1), abs=0.051)
    assert built_in.step_s == HOUR
    assert "Apache-2.0" in built_in.notes[0]
    assert series_names() == ("servegen-small",)


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("t_s,requests_per_s\n0,1.5\n3600,2.5\n", [1.5, 2.5]),
        ("rate_req_per_s,x,Time_s\n1.5,a,0\n2.5,b,3600\n", [1.5, 2.5]),
        ("time,requests\n2026-03-01 00:00,5400\n2026-03-01 01:00,9000\n", [1.5, 2.5]),
        ("timestamp,num_requests\n2026-03-01T00:00:00Z,5400\n2026-03-01T01:00:00Z,9000\n", [1.5, 2.5]),
        ("time,requests_per_s\n00:00,1.5\n1:00,2.5\n", [1.5, 2.5]),
        ("\ufeff\r\ntime,requests_per_s\r\n\r\n00:00:00,1.5\r\n01:00:00,2.5", [1.5, 2.5]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_time_in_four_forms_and_demand_as_rate_or_count(tmp_path, text, rates, compressed):
    """Seconds, date and time, and time of day; a count is a rate times the step of an hour."""
    path = tmp_path / ("day.csv.gz" if compressed else "day.csv")
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    series = load_series(path)
    assert series.rate_req_per_s.tolist() == rates
    assert series.clock_s.tolist() == [0.0, HOUR]
    assert (series.step_s, series.name) == (HOUR, "day")


def test_the_clock_of_the_file_counts(write):
    """08:00+02:00 is eight in the morning: a timetable is read where the file was written."""
    series = load_series(write("time,requests\n2026-03-01T08:00+02:00,1\n2026-03-01T09:00+02:00,2\n"))
    assert series.clock_s.tolist() == [8 * HOUR, 9 * HOUR]


def test_an_hour_that_occurs_twice_is_no_step_back(write):
    """At the end of summer time the clock shows 02:00 twice, and time goes on."""
    rows = ["2026-10-25T02:00+02:00,1", "2026-10-25T02:00+01:00,2", "2026-10-25T03:00+01:00,3"]
    series = load_series(write("\n".join(["time,requests_per_s", *rows])))
    assert series.clock_s.tolist() == [2 * HOUR, 2 * HOUR, 3 * HOUR]


def test_times_of_day_go_on_into_the_next_day(write):
    """A time of day that is not after the one before belongs to the next day."""
    series = load_series(write("time,requests_per_s\n22:00,1\n23:00,2\n00:00,3\n01:00,4\n"))
    assert series.clock_s.tolist() == [22 * HOUR, 23 * HOUR, 24 * HOUR, 25 * HOUR]


def test_gaps_are_gaps(write):
    """A missing row and an empty cell are unknown, not 0; counts keep the length of their own step."""
    series = load_series(write("t_s,requests\n0,60\n60,120\n120,\n180,180\n"))
    assert series.rate_req_per_s.tolist() == [1.0, 2.0, 3.0]
    assert series.clock_s.tolist() == [0.0, 60.0, 180.0]
    assert series.notes == ("rows without a demand left out: 1",)


def test_a_little_late_is_still_a_step(write):
    """Steps of 60 s that are off by 2 s."""
    assert load_series(write("t_s,requests_per_s\n0,1\n60,1\n122,1\n180,1\n")).step_s == 60.0


HOSTILE = {
    "": ("no content", "demand series"),
    "a,b\n1,2\n": (":1: no column", "rename"),
    "t_s,time,requests\n0,0,1\n": (":1: 2 columns", "rename"),
    "t_s,requests,requests_per_s\n0,0,1\n": (":1: 2 columns", "rename"),
    "t_s,requests\n": ("0 rows with a demand", "whole day"),
    "t_s,requests\n0,1\n": ("1 rows with a demand", "whole day"),
    "t_s,requests\n0,1\n60,x\n": (":3, column 'requests': 'x'", "0 or more"),
    "t_s,requests\n0,1\n60,-1\n": (":3, column 'requests': '-1'", "0 or more"),
    "t_s,requests\n0,1\n60,nan\n": (":3, column 'requests': 'nan'", "0 or more"),
    "t_s,requests\n0,1\n60,1e999\n": (":3, column 'requests': '1e999'", "0 or more"),
    "t_s,requests\n0,0\n60,0\n": ("every demand is 0", "above 0"),
    "t_s,requests\nnow,1\n60,1\n": (":2, column 't_s': 'now'", "seconds"),
    "t_s,requests\n-60,1\n0,1\n": (":2, column 't_s': '-60'", "seconds"),
    "time,requests\n1700000000,1\n1700000060,1\n": (":2, column 'time': '1700000000'", "08:00"),
    "time,requests\n25:00,1\n26:00,1\n": (":2, column 'time': '25:00'", "time of day"),
    "time,requests\n2026-02-30 08:00,1\n2026-03-01 08:00,1\n": (":2, column 'time'", "date and time"),
    "t_s,requests\n60,1\n0,1\n": (":3, column 't_s': not after", "ascend"),
    "t_s,requests\n0,1\n0,1\n": (":3, column 't_s': not after", "ascend"),
    "t_s,requests\n0,1\n60,1\n120,1\n150,1\n": (":5, column 't_s': 30 s after", "60 s, as between most rows"),
    "t_s,requests\n0,1,2\n": (":2: 3 cells", "2 cells"),
    't_s,requests\n0,"1\n': (":2", "comma-separated"),
    't_s,"requests\n0,1\n': ("quote", "comma-separated"),
}


@pytest.mark.parametrize(("text", "words"), HOSTILE.items(), ids=[repr(text[:24]) for text in HOSTILE])
def test_what_is_no_series_is_refused(write, text, words):
    """File, line and column where there are some, what was expected, what to do."""
    path = write(text, "hostile.csv")
    with pytest.raises(InputError) as refused:
        load_series(path)
    message = str(refused.value)
    assert str(path) in message
    assert "expected: " in message
    assert "to do: " in message
    for word in words:
        assert word in message


def test_a_name_that_nobody_knows(tmp_path, monkeypatch):
    """Neither built in nor a file; what looks like a path is one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="servegen-small"):
        load_series("servegen")
    with pytest.raises(InputError, match="no such file"):
        load_series("gone.csv")
    with pytest.raises(InputError, match="no such file"):
        load_series("./gone")


@given(st.text(alphabet=st.sampled_from(list('0123456789,:-."\n tsrequ_ TZ')), max_size=60))
def test_any_text_is_read_or_refused(text):
    """Never another exception."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        for header in ("t_s,requests\n", "time,requests_per_s\n", ""):
            path.write_text(header + text)
            try:
                load_series(path)
            except CuveeError:
                continue


@pytest.mark.parametrize("rates", [[], [-1.0], [np.inf], [0.0]])
def test_a_record_of_no_demand_is_refused(rates):
    """Whoever makes one in Python."""
    with pytest.raises(InputError, match="series 'mine'"):
        DemandSeries("mine", np.arange(float(len(rates))), np.array(rates), 1.0)
