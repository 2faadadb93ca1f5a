"""The latency curve by hand, its shape, the highest load within limits, and an event simulation beside it."""

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cuvee.profile import (
    ENGINES,
    AnalyticProvider,
    ChainProvider,
    Provenance,
    RateSource,
    ReplicaConfig,
    Stage,
    ThroughputProvider,
)
from cuvee.profile.highest_load import LatencyCurve
from cuvee.profile.latency import Latency, Statistic, latency
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.load import LoadableReplicas, loadable
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from tests.profile.latency_comparison import compared
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload
from tests.profile.test_analytic import TOY_ENGINE, TOY_GPU, TOY_MODEL
from tests.profile.test_properties import ENGINE_CHOICES, LENGTHS, config_choices

# One toy GPU that runs one sequence at a time, on 100 prompt and 50 answer tokens. At occupancy u, in microseconds:
# Host 1000 + 10 + 2; head 25 and half of its arithmetic's 0.4.
#   decode step, 1 token: weights 57 and half of 0.912, cache 0.4, elements 0.05, head 25.2; host          sum 1095.106
#   full step, 1 + 999 tokens: arithmetic 912 and half of 57, cache 0.4, scores 7.992, elements 50, head; host 2036.092
#   prefill owed per step 2 u, 2 u / 100 of the steps hold a prompt, which costs 100 / 999 (2036.092 - 1095.106)
#   own prefill, 101 tokens: arithmetic 92.112 and half of 57, cache 0.4, scores 0.8, elements 5.05, head; host 1164.062
IDLE_S, OWN_S, FULL_S = 1095.106e-6, 1164.062e-6, 2036.092e-6
TOY_CONFIG = ReplicaConfig("toy", (Stage("TOY", 1, 2),))


def round_s(occupancy: float) -> float:
    return IDLE_S + 0.02 * occupancy * 100 / 999 * (FULL_S - IDLE_S)


def toy(max_num_seqs: int = 1) -> LoadableReplicas:
    provider = AnalyticProvider({"toy": TOY_MODEL}, {"TOY": TOY_GPU}, replace(TOY_ENGINE, max_num_seqs=max_num_seqs))
    return loadable(provider, ReplicaArrays.of([TOY_CONFIG]), [workload(100, 50)])


def latency_at(replicas: LoadableReplicas, occupancy: float, percentile: float | None = None) -> Latency:
    nothing = np.zeros_like(replicas.most_running)
    load, idle, full = (replicas.at(nothing + each) for each in (occupancy, 0.0, 1.0))
    return latency(replicas, load, idle, full, Statistic.of([percentile] * nothing.shape[1]))


def test_an_idle_replica_by_hand():
    """Without load TTFT is the prompt's own step, TPOT a decode step alone, for the mean and any percentile."""
    for percentile in (None, 50.0, 99.0):
        found = latency_at(toy(), 0.0, percentile)
        assert found.ttft_s[0, 0] == pytest.approx(OWN_S, rel=1e-9)
        assert found.tpot_s[0, 0] == pytest.approx(IDLE_S, rel=1e-9)
        assert found.e2e_s[0, 0] == pytest.approx(OWN_S + 49 * IDLE_S, rel=1e-9)


def test_half_load_by_hand():
    """Rate, waits and TPOT of one busy server at occupancy one half."""
    load = toy().at(np.full((1, 1), 0.5))
    rate = 0.5 / (50 * round_s(0.5))
    assert load.rate_req_per_s[0, 0] == pytest.approx(rate, rel=1e-9)
    # One place: it is taken half of the time, and then for another answer over the free half. The tempting wrong
    # answer waits for half an answer, as if the one under way were the only one.
    slot_s = 0.5 * 50 * round_s(0.5) * (round_s(0.5) / IDLE_S) / 0.5
    service_s = 100 / 999 * FULL_S
    prefill_s = rate * service_s * service_s / (1 - rate * service_s)
    server_s = rate / 1000 / (1000 - rate)
    step_s = (1 - exp(-0.5)) * round_s(0.5) / 2
    found = latency_at(toy(), 0.5)
    assert found.ttft_s[0, 0] == pytest.approx(OWN_S + slot_s + prefill_s + server_s + step_s, rel=1e-9)
    # A prompt adds 100 / 999 (FULL_S - IDLE_S) to a round, so rounds follow each other with rho of it.
    rho = 1 - IDLE_S / round_s(0.5)
    added_s = 100 / 999 * (FULL_S - IDLE_S)
    bunched_s = added_s * rho * (1 - rho**50) / ((1 - rho**2) * (1 - rho) * 50)
    assert found.tpot_s[0, 0] == pytest.approx(round_s(0.5) + bunched_s, rel=1e-9)


def test_a_percentile_of_a_wait_by_hand():
    """A wait with probability P and mean tau exceeds tau ln(P / tail) in a share `tail` of the cases."""
    statistic = Statistic.of([None, 95.0, 50.0])
    found = statistic.of_wait(np.array([0.2, 0.2, 0.2]), np.array([3.0, 3.0, 3.0]))
    assert found == pytest.approx([0.6, 3 * log(4), 0.0])
    residual = statistic.of_residual(np.array([0.5, 0.5, 0.5]), np.array([2.0, 2.0, 2.0]))
    assert residual == pytest.approx([0.5, 2 * 0.9, 0.0])


def test_a_skewed_excess_by_hand():
    """Wilson and Hilferty: an exponential of mean 1 has its 95th percentile at 2.97, where it is ln 20 = 2.996."""
    found = Statistic.of([95.0, None]).of_excess(np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    assert found == pytest.approx([(8 / 9 + 1.644854 / 3) ** 3, 1.0], rel=1e-5)
    assert found[0] == pytest.approx(log(20), rel=0.01)


def test_many_places_wait_less_than_one():
    """With four places the wait at occupancy one half is Sakasegawa's, far below that of one server as busy."""
    replicas = toy(4)
    load, found = replicas.at(np.full((1, 1), 0.5)), latency_at(replicas, 0.5)
    slowdown = load.round_s[0, 0] / replicas.at(np.zeros((1, 1))).round_s[0, 0]
    probability = 0.5 ** (sqrt(2 * (4 / slowdown + 1)) - 1)
    slot_s = probability * 50 * load.round_s[0, 0] * slowdown / 2
    assert slot_s / 2 < found.ttft_s[0, 0] - OWN_S < slot_s * 1.1 + 3e-3
    assert slot_s < 0.3 * 50 * load.round_s[0, 0]


def curve_of(config: ReplicaConfig, lengths: tuple[float, float], limits: LatencyLimits) -> LatencyCurve:
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    replicas = loadable(provider, ReplicaArrays.of([config]), [workload(*lengths)])
    saturated = provider.table([config], [workload(*lengths)]).rate_req_per_s[0]
    first = np.zeros(1, dtype=np.int64)
    return LatencyCurve.of(replicas.cells(first, first), [limits], first, np.ones(1), np.ones(1), saturated)


@pytest.mark.parametrize("statistic", ["mean", "p50", "p95", "p99"])
@pytest.mark.parametrize("lengths", [(2455, 18), (496, 510), (50, 200)])
@pytest.mark.parametrize("gpu", ["A40", "H100-SXM", "RTX4090"])
def test_latency_rises_with_load_without_bound(gpu, lengths, statistic):
    """On one stage, from one load to the next, no latency falls, and the queue of a saturated replica is endless. The
    rate rises up to that of a full replica, which one that loses cache may reach before it is full.
    """
    curve = curve_of(even_config("llama-3-8b", gpu), lengths, LatencyLimits(statistic=statistic))
    loads = [curve.at(np.array([each])) for each in np.linspace(0, 1, 201) ** 2]
    rates = np.array([load.rate_req_per_s[0, 0] for load in loads])
    rises = np.diff(rates) > 0
    assert (rises | (rates[1:] >= rates[-1] * (1 - 1e-9))).all()
    assert rises[:50].all()
    assert rates.max() == pytest.approx(rates[-1], rel=1e-9)
    found = [curve.latency(load) for load in loads]
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        values = np.array([getattr(each, name)[0] for each in found])
        assert (values[1:] >= values[:-1] * (1 - 1e-9)).all(), name
    assert found[-1].ttft_s[0] > 1e6


@settings(max_examples=40)
@example(even_config("gpt-oss-120b", "B200-SXM", 8, 2), ENGINES["vllm-0.5"], (3109, 1))  # less than one per micro-batch
@given(config_choices, ENGINE_CHOICES, LENGTHS)
def test_saturated_load_is_no_more_than_the_table_rate(config, engine, lengths):
    """Bunched prompts cost at least what evenly spread ones do, so the curve ends at or below the saturated rate."""
    provider = AnalyticProvider(MODELS, GPUS, engine)
    replicas = loadable(provider, ReplicaArrays.of([config]), [workload(*lengths)])
    table = provider.table([config], [workload(*lengths)])
    if not table.fits[0, 0] or table.rate_req_per_s[0, 0] >= engine.max_req_per_s:
        return
    assert replicas.at(np.ones((1, 1))).rate_req_per_s[0, 0] <= table.rate_req_per_s[0, 0] * (1 + 1e-9)


@settings(max_examples=40)
@given(
    config_choices,
    ENGINE_CHOICES,
    LENGTHS,
    st.floats(0.05, 20),
    st.floats(0.02, 0.5),
    st.sampled_from(["mean", "p50", "p90", "p99"]),
)
def test_limits_hold_at_the_rate_and_not_above(config, engine, lengths, ttft_s, tpot_s, statistic):
    """At the limited rate both limits hold; a thousandth further one is missed, on one stage."""
    provider = AnalyticProvider(MODELS, GPUS, engine)
    limits = LatencyLimits(ttft_s, tpot_s, statistic=statistic)
    limited = LimitedProvider(provider, provider, {config.model: LatencyObjective(limits)})
    base = provider.table([config], [workload(*lengths)])
    found = limited.limited(base)
    if not found.table.fits[0, 0]:
        idle = found.idle
        assert not base.fits[0, 0] or idle.ttft_s[0, 0] > ttft_s or idle.tpot_s[0, 0] > tpot_s
        return
    assert 0 < found.table.rate_req_per_s[0, 0] <= base.rate_req_per_s[0, 0]
    assert found.table.ttft_s[0, 0] <= ttft_s
    assert found.table.tpot_s[0, 0] <= tpot_s
    if len(config.stages) > 1:  # where micro-batches fill, latency may dip by a few percent
        return
    first = np.zeros(1, dtype=np.int64)
    replicas = loadable(provider, ReplicaArrays.of([config]), [workload(*lengths)]).cells(first, first)
    curve = LatencyCurve.of(replicas, [limits], first, np.ones(1), np.ones(1), base.rate_req_per_s[0])
    highest = curve.highest_occupancy()
    if highest[0] >= 1:  # nothing is beyond a full batch: its token budget, not its cache, may be what fills it
        return
    above = curve.latency(curve.at(np.minimum(highest * 1.001, 1.0)))
    assert above.ttft_s[0] > ttft_s or above.tpot_s[0] > tpot_s


def test_the_answer_does_not_depend_on_the_neighbours():
    """A pair alone has bit for bit the rate it has among others, padded stages and all."""
    configs = [even_config("llama-3-70b", gpu, 4, depth) for gpu in ("A40", "H100-SXM") for depth in (1, 2, 3)]
    types = [workload(*lengths) for lengths in ((2455, 18), (496, 510), (824, 253))]
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    limits = LatencyObjective(LatencyLimits(2.0, 0.15, statistic="p95"))
    limited = LimitedProvider(provider, provider, {"llama-3-70b": limits})
    together = limited.table(configs, types).rate_req_per_s
    assert (together > 0).any()
    for row, config in enumerate(configs):
        for column, kind in enumerate(types):
            assert limited.table([config], [kind]).rate_req_per_s[0, 0] == together[row, column]


def test_without_limits_nothing_changes():
    """A model without limits, a type without limits: the very values of the provider inside."""
    configs = [even_config("llama-3-8b", "A40"), even_config("llama-3-70b", "A40", 4)]
    types = [workload(500, 50), workload(2000, 200)]
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    of_one = {"llama-3-8b": LatencyObjective(by_type={types[0].name: LatencyLimits(tpot_s=0.04)})}
    before, after = provider.table(configs, types), LimitedProvider(provider, provider, of_one).table(configs, types)
    assert after.rate_req_per_s[0, 0] < before.rate_req_per_s[0, 0]
    untouched = np.array([[False, True], [True, True]])
    for name in ("rate_req_per_s", "ttft_s", "tpot_s", "relative_error", "fits", "source"):
        assert (getattr(before, name)[untouched] == getattr(after, name)[untouched]).all(), name


def test_a_limit_on_tokens_alone_may_leave_a_replica_saturated():
    """A TPOT limit above the saturated TPOT takes nothing off the rate; the queue is then without bound."""
    config, kind = even_config("llama-3-8b", "A40"), workload(500, 50)
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    base = provider.table([config], [kind])
    limited = LimitedProvider(provider, provider, {"llama-3-8b": LatencyObjective(LatencyLimits(tpot_s=10.0))})
    after = limited.limited(base)
    assert after.table.rate_req_per_s[0, 0] == base.rate_req_per_s[0, 0]
    assert np.isinf(after.table.ttft_s[0, 0])


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_tighter_limits_never_raise_a_rate(engine):
    """Halving a limit, or asking for a higher percentile, lowers every rate or leaves it."""
    configs = [even_config("llama-3-8b", gpu, 1, depth) for gpu in ("A40", "H100-SXM", "RTX4090") for depth in (1, 2)]
    types = [workload(*lengths) for lengths in ((2455, 18), (496, 510), (824, 253))]
    provider = AnalyticProvider(MODELS, GPUS, engine)

    def rates(limits: LatencyLimits) -> np.ndarray:
        return (
            LimitedProvider(provider, provider, {"llama-3-8b": LatencyObjective(limits)})
            .table(configs, types)
            .rate_req_per_s
        )

    loose = rates(LatencyLimits(4.0, 0.2, 40.0))
    for tighter in (LatencyLimits(2.0, 0.2, 40.0), LatencyLimits(4.0, 0.1, 40.0), LatencyLimits(4.0, 0.2, 20.0)):
        assert (rates(tighter) <= loose * (1 + 1e-6)).all()
    assert (rates(LatencyLimits(4.0, 0.2, 40.0, "p95")) <= loose * (1 + 1e-6)).all()


@pytest.mark.parametrize("exponential", [False, True], ids=["fixed", "exponential"])
def test_the_event_simulation_agrees(exponential):
    """The bounds that docs/latency.md states, for fixed lengths and for exponential ones."""
    found = [each for each in compared() if each.exponential_lengths == exponential]
    assert len(found) == 8
    bounds = {
        "mean": ((0.7, 1.55), (0.8, 1.35), (0.9, 1.3)),
        "percentile_95": ((0.6, 1.05), (0.4, 1.05), (0.35, 0.95))
        if exponential
        else ((1.0, 1.85), (0.75, 1.15), (1.0, 1.35)),
    }
    for name, limits in bounds.items():
        for each in found:
            for value, (low, high) in zip(getattr(each, name), limits, strict=True):
                assert low < value < high, (name, each)


MEASURED = (RateSource(Provenance.MEASURED, "by hand", "2026"),)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_measured_replica_is_the_estimated_one_in_slow_motion(factor):
    """At a measured rate of half the estimate, limits twice as long admit half the load the estimate would bear."""
    config, kind = even_config("llama-3-8b", "A40"), workload(500, 50)
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    estimated = provider.table([config], [kind])
    rate = factor * estimated.rate_req_per_s[0, 0]
    measured = replace(estimated, rate_req_per_s=np.array([[rate]]), sources=MEASURED)
    measured = replace(measured, tpot_s=np.zeros((1, 1)))

    def limited(limits: LatencyLimits, *, inside: ThroughputProvider) -> LimitedProvider:
        return LimitedProvider(inside, provider, {"llama-3-8b": LatencyObjective(limits)})

    plain = limited(LatencyLimits(0.5, 0.06), inside=provider).table([config], [kind])
    chain = ChainProvider(provider, provider)  # anything but the estimates themselves
    found = limited(LatencyLimits(0.5 / factor, 0.06 / factor), inside=chain).limited(measured).table
    assert found.rate_req_per_s[0, 0] == pytest.approx(factor * plain.rate_req_per_s[0, 0], rel=1e-6)
    assert found.provenance[0, 0] is Provenance.CALIBRATED
    assert [(source.provider, source.date) for source in found.sources] == [(Provenance.CALIBRATED, "2026")]
    assert "by hand" in found.sources[0].source


def test_a_measured_time_per_token_counts_where_it_is_longer():
    """A table that states three times the estimated TPOT at the estimated rate: a limit below it excludes the pair."""
    config, kind = even_config("llama-3-8b", "A40"), workload(500, 50)
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    estimated = provider.table([config], [kind])
    measured = replace(estimated, tpot_s=3 * estimated.tpot_s, sources=MEASURED)
    idle_s = LimitedProvider(provider, provider, {"llama-3-8b": LatencyObjective(LatencyLimits(tpot_s=1.0))})
    alone_s = float(idle_s.limited(estimated).idle.tpot_s[0, 0])
    chain = ChainProvider(provider, provider)
    for limit_s, fits in ((2.9 * alone_s, False), (3.1 * alone_s, True)):
        objective = {"llama-3-8b": LatencyObjective(LatencyLimits(tpot_s=limit_s))}
        assert LimitedProvider(chain, provider, objective).limited(measured).table.fits[0, 0] == fits


def test_a_measured_replica_without_an_estimate_is_excluded():
    """Where the estimate does not fit there is no curve, so no limit can be shown to hold."""
    config, kind = even_config("llama-3-70b", "RTX4090"), workload(500, 50)
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    estimated = provider.table([config], [kind])
    assert not estimated.fits[0, 0]
    one, yes = np.ones((1, 1)), np.array([[True]])
    measured = replace(estimated, rate_req_per_s=one, fits=yes, source=np.zeros((1, 1), np.int64), sources=MEASURED)
    objective = {"llama-3-70b": LatencyObjective(LatencyLimits(tpot_s=100.0))}
    found = LimitedProvider(ChainProvider(provider, provider), provider, objective).limited(measured)
    assert not found.table.fits[0, 0]
    assert np.isnan(found.idle.tpot_s[0, 0])
