"""Figures of a trace."""

import dataclasses
import json

import numpy as np
import pytest

from cuvee.errors import InputError
from cuvee.workload import Trace, load_trace, split_by_model, summarize


def make_trace(arrival_s=None, **columns):
    num_requests = 5 if arrival_s is None else len(arrival_s)
    lengths = np.arange(1, num_requests + 1)
    arrivals = None if arrival_s is None else np.array(arrival_s, dtype=np.float64)
    return Trace("made", lengths, 10 * lengths, arrivals, **columns)


def test_rates_of_windows_by_hand():
    """Arrivals 0, 1, 2, 3, 10 in 2 windows of 5 s: 4 and 1 requests, so 0.8 and 0.2 a second."""
    summary = summarize(make_trace([0, 1, 2, 3, 10]), num_windows=2)
    assert summary.duration_s == 10.0
    assert summary.window_s == 5.0
    assert summary.window_rates_req_per_s == pytest.approx((0.8, 0.2))
    assert summary.peak_rate_req_per_s == pytest.approx(0.8)
    assert summary.mean_rate_req_per_s == pytest.approx(0.4)
    # Gaps 1, 1, 1, 7: mean 2.5, standard deviation sqrt(6.75).
    assert summary.interarrival_cv == pytest.approx(6.75**0.5 / 2.5)
    assert summary.input_tokens_per_s == pytest.approx(0.4 * 3)
    assert summary.output_tokens_per_s == pytest.approx(0.4 * 30)


def test_lengths_by_hand():
    """Prompts 1 to 5: mean and median 3, largest 5; totals are 11 times the prompts."""
    summary = summarize(make_trace())
    assert (summary.input_tokens.mean, summary.input_tokens.p50, summary.input_tokens.max) == (3, 3, 5)
    assert summary.total_tokens.p75 == 44


def test_lengths_alone_have_no_rates():
    """Without arrivals, or with all at one instant, what needs time is None."""
    for trace in (make_trace(), make_trace([0, 0, 0])):
        summary = summarize(trace)
        assert summary.window_rates_req_per_s == ()
        assert summary.interarrival_cv is None
        assert summary.peak_rate_req_per_s is None
        assert summary.input_tokens_per_s is None


def test_a_model_is_seen_through_the_windows_of_the_whole():
    """The second of two models, all in the second half, has no requests in the first window."""
    trace = make_trace([0, 1, 8, 10], model=np.array([0, 0, 1, 1]), model_names=("a", "b"))
    assert summarize(split_by_model(trace)["b"], num_windows=2).window_rates_req_per_s == (0.0, 0.4)


def test_a_summary_is_plain_data():
    """A summary goes to JSON as it is."""
    summary = summarize(make_trace([0, 1, 5], num_skipped={"zero output tokens": 2}))
    assert json.loads(json.dumps(dataclasses.asdict(summary)))["num_skipped"] == {"zero output tokens": 2}


@pytest.mark.parametrize("num_windows", [0, -1, 2.5, 100_001, True])
def test_windows_out_of_range_are_refused(num_windows):
    """Only whole numbers from 1 to 100,000 are numbers of windows."""
    with pytest.raises(InputError, match="num_windows"):
        summarize(make_trace(), num_windows=num_windows)


def test_azure_chat_is_as_its_table_says(shared_trace):
    """The Azure 2023 chat trace: 3,502 s, 5.5 req/s, prompts p50 1020 and p95 4083 tokens."""
    summary = summarize(load_trace(shared_trace("azure2023_conv.csv.gz")))
    assert summary.duration_s == pytest.approx(3502, abs=1)
    assert summary.mean_rate_req_per_s == pytest.approx(5.5, abs=0.05)
    assert summary.input_tokens.p50 == pytest.approx(1020, abs=1)
    assert summary.input_tokens.p95 == pytest.approx(4083, abs=5)
    assert np.mean(summary.window_rates_req_per_s) == pytest.approx(summary.mean_rate_req_per_s, rel=1e-3)
