"""Requests of an evaluation: in the mix that was planned for, at the rate asked for."""

from dataclasses import replace

import numpy as np
import pytest

from cuvee.errors import InputError
from cuvee.evaluate.grid import BUDGETS_USD_PER_HOUR, MODELS, chosen, for_robustness, paper_grid, quick_grid
from cuvee.evaluate.requests import SPREAD, Requests
from cuvee.workload.mixes import load_mix
from cuvee.workload.records import Demand, Trace, WorkloadType

MIX = Demand((WorkloadType("a", 1000.0, 20.0), WorkloadType("b", 100.0, 400.0)), (3.0, 1.0))


def test_a_burst_has_the_mix_of_the_plan():
    """Three of one type for one of the other, to the request; lengths within the spread, and their means kept."""
    burst = Requests("mix", MIX).burst({"m": 1.0}, 4000, seed=1)
    is_long = burst.input_tokens > 500
    assert is_long.sum() == 3000
    assert burst.input_tokens[is_long].mean() == pytest.approx(1000, rel=0.01)
    assert abs(burst.output_tokens[~is_long] / 400 - 1).max() <= SPREAD + 0.01
    assert not np.any(burst.arrival_s)


def test_models_get_their_shares():
    """80 to 20, of requests and of demand; only the mix counts, so no demand states a rate."""
    requests = Requests("mix", MIX)
    burst = requests.burst(MODELS["both"], 1000, seed=0)
    assert burst.model is not None
    assert np.bincount(burst.model).tolist() == [800, 200]
    entries = requests.models(MODELS["both"])
    assert [entry.demand.total_requests for entry in entries] == pytest.approx([3.2, 0.8])
    assert {entry.demand.rate_req_per_s for entry in entries} == {None}


def test_arrivals_have_the_rate_asked_for():
    """Of a mix at random; of a trace with its own gaps, stretched; at random where it has none, which cannot be."""
    drawn = Requests("mix", MIX).arriving({"m": 1.0}, 2000, 5.0, seed=0)
    assert drawn.arrival_s is not None
    assert drawn.num_requests / drawn.arrival_s[-1] == pytest.approx(5.0)
    lengths = np.array([10, 20, 30, 40])
    trace = Trace("t", lengths, lengths, np.array([0.0, 1.0, 1.0, 5.0]))
    replayed = Requests("t", MIX, trace).arriving({"m": 1.0}, 1000, 2.0, seed=0)
    assert replayed.arrival_s == pytest.approx([0.0, 0.4, 0.4, 2.0])
    assert set(replayed.input_tokens) <= set(lengths)
    at_once = replace(trace, arrival_s=np.full(4, 7.0))
    random = Requests("t", MIX, at_once).arriving({"m": 1.0}, 1000, 2.0, seed=0).arrival_s
    assert random is not None
    assert (np.diff(random) > 0).all()
    assert random[-1] == pytest.approx(2.0)


def test_the_same_seed_gives_the_same_requests():
    """To the token; another seed does not."""
    requests = Requests("trace-1", load_mix("trace-1"))
    first, again, other = (requests.burst({"m": 1.0}, 500, seed) for seed in (1, 1, 2))
    assert (first.input_tokens == again.input_tokens).all()
    assert (first.input_tokens != other.input_tokens).any()


def test_the_grid_is_the_papers():
    """Three mixes, four stocks, three budgets and three sets of models; traces come on top."""
    assert len(paper_grid()) == 3 * 4 * len(BUDGETS_USD_PER_HOUR) * len(MODELS)
    assert len(paper_grid(["azure"])) == len(paper_grid()) * 4 // 3
    assert len({each.name for each in paper_grid(["azure"])}) == len(paper_grid(["azure"]))
    assert set(quick_grid()) < set(paper_grid())


def test_robustness_is_of_the_first_setting_unless_some_are_chosen():
    """What takes longest is not done for all that there are."""
    grid = paper_grid()
    assert for_robustness(grid, []) == grid[:1]
    assert for_robustness(grid[3:6], ["8b/*"]) == grid[3:6]


def test_settings_by_pattern():
    """All without one; each pattern must fit something, so that a slip is told."""
    grid = paper_grid()
    assert chosen(grid, []) == grid
    assert [each.name for each in chosen(grid, ["70b/trace-2/stock-3/15"])] == ["70b/trace-2/stock-3/15"]
    assert len(chosen(grid, ["8b/*", "both/*"])) == 72
    with pytest.raises(InputError, match="70B"):
        chosen(grid, ["8b/*", "70B/*"])
