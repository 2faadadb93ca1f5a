"""Prometheus' text format: what the client library of Prometheus writes is read as it reads it itself."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cuvee.metrics_text import Sample, read_samples

VALUES = st.floats(allow_nan=False) | st.sampled_from([math.inf, -math.inf, 0.0])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4, unique=True), value=VALUES)
def test_what_the_library_writes_is_read_as_it_reads_it(labels, value):
    """Any label, with quotes, backslashes, braces and line ends in it, and any number."""
    registry = CollectorRegistry()
    gauge = Gauge("a_gauge", "With \\ and\nlines.", ["one", "two"], registry=registry)
    histogram = Histogram("h_seconds", "Times.", ["one"], registry=registry)
    Counter("c", "Counts.", registry=registry).inc(3)
    for one, two in labels:
        gauge.labels(one, two).set(value)
        histogram.labels(one).observe(0.3)
    text = generate_latest(registry).decode()
    expected = [
        (each.name, each.labels, each.value)
        for family in text_string_to_metric_families(text)
        for each in family.samples
    ]
    found = [(each.name, each.labels, each.value) for each in read_samples(text)]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_times_examples_and_blanks_are_passed_over():
    """A time after the value, OpenMetrics' examples and its end, indentation and lines of Windows."""
    text = 'a{x="1"} 2 1700000000\r\nb_bucket{le="0.1"} 8 # {trace_id="KOO5S4vxi0o"} 0.67\n\n  c 1e3 \n# EOF\n'
    assert list(read_samples(text)) == [
        Sample("a", 2.0, {"x": "1"}), Sample("b_bucket", 8.0, {"le": "0.1"}), Sample("c", 1000.0),
    ]  # fmt: skip


def test_only_what_is_wanted_is_read():
    """Samples of other names are passed over, whatever their values."""
    assert [each.value for each in read_samples("a 1\nb none\n", {"a"}.__contains__)] == [1.0]


@pytest.mark.parametrize("text", ["<html>", "a b", "a{x=1} 2", 'a{x="1} 2', "a", "1a 2", '{"json": 1}'])
def test_what_is_no_metrics_is_told_with_its_line(text):
    """A page or JSON in place of metrics ends in a message that names the line."""
    with pytest.raises(ValueError, match="line 2"):
        list(read_samples(f"ok 1\n{text}\n"))
