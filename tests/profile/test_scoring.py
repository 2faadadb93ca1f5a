"""Predictions beside measured points: what is compared, what is left out, and how errors are counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cuvee.errors import InputError
from cuvee.profile import AnalyticProvider, ReplicaConfig, Stage, engine_of_version, find_engine
from cuvee.profile.calibration import calibrate
from cuvee.profile.measurements import load_measurements
from cuvee.profile.scoring import score
from tests.profile.public_figures import COLLECTION
from tests.profile.setups import GPUS, MODELS, workload

HEADER = "gpu,model,engine,engine_version,isl,osl,tp,req_s\n"
ROW = "H100-SXM,llama-3.1-8b,vllm,0.11,1000,500,1,"


def scored(tmp_path: Path, text: str, **options: Any):
    return score(load_measurements(write(tmp_path, text)), **options)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(text)
    return path


def predicted_rate(lengths: tuple[float, float]) -> float:
    """What the model says of `ROW`."""
    config = ReplicaConfig("llama-3.1-8b", (Stage("H100-SXM", 1, 32),))
    model = replace(MODELS["llama-3.1-8b"], max_context=10**6)
    provider = AnalyticProvider({model.name: model}, GPUS, find_engine("vllm-0.11"))
    return float(provider.table([config], [workload(*lengths)]).rate_req_per_s[0, 0])


def test_errors_by_hand(tmp_path):
    """Measured at exactly, half and four fifths of the prediction: errors 0, 100 % and 25 %; median 25 %, mean 42 %."""
    rate = predicted_rate((1000, 500))
    found = scored(tmp_path, HEADER + "".join(f"{ROW}{rate * share!r}\n" for share in (1.0, 0.5, 0.8)))
    errors = found.errors("rate")
    assert errors.count == 3
    assert errors.median == pytest.approx(0.25)
    assert errors.mean == pytest.approx(1.25 / 3)
    assert errors.bias == pytest.approx(1.25)
    assert found.worst(1)[0].error == pytest.approx(1.0)


def test_tokens_stand_for_requests(tmp_path):
    """Without req_s, output tokens a second over the answer's length are the rate."""
    text = HEADER.replace("req_s", "out_tok_s") + f"{ROW}{predicted_rate((1000, 500)) * 500!r}\n"
    assert scored(tmp_path, text).of("rate")[0].error == pytest.approx(0.0, abs=1e-9)


def test_replicas_share_the_rate(tmp_path):
    """Two replicas measured at twice the rate of one are no error; the tempting answer is 50 %."""
    rate = predicted_rate((1000, 500))
    text = f"{HEADER.strip()},replicas,num_gpus\n{ROW}{2 * rate!r},2,2\n"
    assert scored(tmp_path, text).of("rate")[0].error == pytest.approx(0.0, abs=1e-9)


def test_order_of_pairs(tmp_path):
    """Per GPU, TP2 below TP1 on small models is in order; a pair measured the other way round is not."""
    sizes = f"{ROW}10\n{ROW.replace(',1,', ',2,')}15\n"
    ordering = scored(tmp_path, HEADER + sizes).ordering()
    assert (ordering.pairs, ordering.right) == (1, 1)
    turned = f"{ROW}10\n{ROW.replace(',1,', ',2,')}25\n"
    assert scored(tmp_path, HEADER + turned).ordering().right == 0


def test_pairs_are_of_two_deployments(tmp_path):
    """One deployment at three loads, or measured twice, has no pair: that more requests serve more proves nothing."""
    loads = "".join(f"{ROW}{rate},{under_way}\n" for rate, under_way in ((1, 1), (5, 8), (9, 64), (9.5, 64)))
    assert scored(tmp_path, f"{HEADER.strip()},concurrency\n{loads}").ordering().pairs == 0


def test_replicas_of_one_deployment_are_no_pair(tmp_path):
    """One and two replicas of TP1 measured at 10 and 11 req/s each are one deployment, predicted alike.

    Tempting: a pair that is ordered wrong, as the text of a deployment counts its replicas.
    """
    text = f"{HEADER.strip()},replicas,num_gpus\n{ROW}10,1,1\n{ROW}22,2,2\n"
    assert scored(tmp_path, text).ordering().pairs == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("H100-SXM,no-such-model,vllm,,1000,500,1,5", "unknown model"),
        ("H900,llama-3.1-8b,vllm,,1000,500,1,5", "unknown GPU type"),
        ("H100-SXM,llama-3.1-8b,no-such-engine,,1000,500,1,5", "unknown engine"),
        ("H100-SXM,llama-3.1-8b,,,1000,500,1,5", "no engine named"),
        ("RTX4090,llama-3.1-70b,vllm,,1000,500,1,5", "do not fit"),
        ("H100-SXM,llama-3.1-8b,vllm,,496,18,1,5000", "impossible: 5000 req/s: a request takes"),
    ],
)
def test_rows_that_cannot_be_modelled_are_named(tmp_path, row, reason):
    """They are listed with a reason, and the others are scored all the same."""
    found = scored(tmp_path, f"{HEADER}{row}\n{ROW}5\n")
    assert len(found.comparisons) == 1
    assert reason in found.not_modelled[0].reason
    assert found.not_modelled[0].measurement.place.endswith(":2")


def test_doubtful_rows_are_left_out_unless_asked_for(tmp_path):
    """A row that its own file doubts says nothing of the model."""
    text = f"{HEADER.strip()},doubtful\n{ROW}5,True\n{ROW}5,False\n"
    assert len(scored(tmp_path, text).comparisons) == 1
    assert len(scored(tmp_path, text).doubtful) == 1
    assert len(scored(tmp_path, text, with_doubtful=True).comparisons) == 2


def test_paced_arrivals_compare_latency(tmp_path):
    """With a rate of arrivals, what is served says nothing: latency at that rate is compared."""
    text = f"{HEADER.strip()},request_rate,ttft_ms,tpot_ms\n{ROW}5,5,100,10\n"
    assert sorted(each.quantity for each in scored(tmp_path, text).comparisons) == ["tpot", "ttft"]


def test_fewer_requests_under_way_serve_less(tmp_path):
    """One request at a time is predicted below the saturated replica."""
    text = f"{HEADER.strip()},concurrency\n{ROW}0.1,1\n{ROW}5,\n"
    alone, all_at_once = scored(tmp_path, text).of("rate")
    assert alone.predicted < all_at_once.predicted / 5
    assert alone.num_sequences == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("gpu,model,isl\nH100,x,5\n", "no column 'osl'"),
        ("gpu,model,isl,osl\nH100,x,5,5\n", "no column 'req_s'"),
        (HEADER, "no rows"),
        (f"{HEADER}{ROW}-1\n", "req_s = '-1'"),
        (f"{HEADER}{ROW}inf\n", "req_s = 'inf'"),
        (f"{HEADER.strip()},doubtful\n{ROW}1,perhaps\n", "doubtful = 'perhaps'"),
        (f"{HEADER}{ROW}nan\n", "nothing measured"),
        (f"{HEADER}{ROW.replace('1000', '0')}1\n", "isl = '0'"),
        (f"{HEADER}{ROW.replace(',1,', ',1.5,')}1\n", "tp = '1.5'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, said):
    """The error says what stands where."""
    with pytest.raises(InputError) as error:
        scored(tmp_path, text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        ("0.11.0", "vllm-0.11"),
        ("v0.12.1", "vllm-0.11"),
        ("0.19", "vllm-0.19"),
        ("1.0.0rc2", "vllm-0.19"),
        ("0.2.0", "vllm-0.5"),
        ("2024-08", "vllm-0.11"),
        ("24.08", "vllm-0.11"),
        ("not stated", "vllm-0.11"),
        ("", "vllm-0.11"),
    ],
)
def test_versions_take_the_nearest_earlier_settings(version, settings):
    """Never later ones; the earliest where all are later; the usual ones where the version says nothing."""
    assert engine_of_version("vLLM", version).name == settings


@pytest.mark.skipif(not COLLECTION.is_file(), reason="measured_throughput.csv is not beside this checkout")
def test_public_figures():
    """Of the collection of public figures every sound row is modelled or named with a reason."""
    measurements = load_measurements(COLLECTION)
    found = score(measurements)
    places = {each.measurement.place for each in found.comparisons}
    named = {each.measurement.place for each in found.not_modelled} | {each.place for each in found.doubtful}
    assert places | named == {each.place for each in measurements}
    assert not places & named
    errors = found.errors("rate", "trtllm-0.14")
    assert errors is not None
    assert errors.median <= 0.15
    ordering = found.ordering("trtllm-0.14")
    assert ordering.right >= 0.96 * ordering.pairs


def test_loads_above_what_the_model_sustains_are_one_reason(tmp_path):
    """Two rates of arrivals that the model's replica does not sustain are told once. Tempting: each with its rate."""
    text = f"{HEADER.strip()},request_rate,ttft_ms\n{ROW},500,100\n{ROW},600,100\n"
    reasons = {each.reason for each in scored(tmp_path, text).not_modelled}
    assert reasons == {"arrivals at a rate the model says the replica does not sustain"}


def test_more_points_than_take_minutes_are_refused(tmp_path):
    """A limit that is told, before any work; and how far it is, point by point."""
    rows = load_measurements(write(tmp_path, f"{HEADER}{ROW}5\n"))
    with pytest.raises(InputError, match="20,001 measured points\n  expected: at most 20,000 at once"):
        score(rows * 20_001)
    with pytest.raises(InputError, match="2,001 measured points\n  expected: at most 2,000 at once"):
        calibrate(rows * 2_001, date="2026-01-01")
    told: list[str] = []
    score(rows * 2, progress=told.append)
    assert told == ["point 1 of 2", "point 2 of 2"]
