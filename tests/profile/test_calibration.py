"""Constants fitted to measured points: recovery, what one, two and three points bring, files, and hostile ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cuvee.errors import InputError
from cuvee.profile import AnalyticProvider, ReplicaConfig, Stage, find_engine
from cuvee.profile.calibrated import CalibratedProvider, CalibratedReplica
from cuvee.profile.calibration import Calibration, band_of, calibrate
from cuvee.profile.calibration_files import calibration_record, load_calibrated, load_calibration, save_calibration
from cuvee.profile.fitting import NOISE
from cuvee.profile.measurements import Measurement, load_measurements
from cuvee.profile.table import Provenance, RateSource
from tests.profile.held_out import Choice, at_random, by_shape, configurations, held_out_errors
from tests.profile.public_figures import COLLECTION
from tests.profile.setups import GPUS, MODELS, workload

DATE = "2026-01-02"
LENGTHS = ((128, 2048), (1000, 1000), (2048, 128), (500, 2000), (4000, 200))
TRUTH = {"compute": 0.7, "bandwidth": 1.15, "cache_reads": 0.8, "sequence_host": 2.5, "room": 0.8}
UNCHANGED = {"compute": 1.0}
HEADER = "id,gpu,model,engine,engine_version,isl,osl,tp,req_s\n"
collected = pytest.mark.skipif(
    not COLLECTION.is_file(),
    reason="the collection of public figures (measured_throughput.csv) is not beside this checkout",
)


def replica(constants: dict[str, float], size: int = 1, gpu: str = "A40") -> CalibratedReplica:
    return CalibratedReplica(gpu, "llama-3-8b", "bf16", "bf16", size, 1, "vllm-0.11", constants)


def true_rate(lengths: tuple[float, float], constants: dict[str, float], size: int = 1, gpu: str = "A40") -> float:
    """Rate of a replica whose constants are known [req/s]."""
    provider = CalibratedProvider((replica(constants, size, gpu),), MODELS, GPUS, find_engine("vllm-0.11"))
    config = ReplicaConfig("llama-3-8b", (Stage(gpu, size, 32),))
    return float(provider.table([config], [workload(*lengths)]).rate_req_per_s[0, 0])


def points(tmp_path: Path, rows: list[str], header: str = HEADER) -> tuple[Measurement, ...]:
    path = tmp_path / "points.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    return load_measurements(path)


def synthetic(tmp_path: Path, lengths=LENGTHS, constants=TRUTH, size: int = 1) -> tuple[Measurement, ...]:
    rows = [
        f"p{isl}-{osl},A40,llama-3-8b,vllm,0.11.0,{isl},{osl},{size},{true_rate((isl, osl), constants, size)!r}"
        for isl, osl in lengths
    ]
    return points(tmp_path, rows)


def test_known_constants_are_recovered_as_far_as_rates_show_them(tmp_path):
    """Points made with other constants are predicted within 2 %, those left out within 5 %; before up to 30 % off."""
    found = calibrate(synthetic(tmp_path), date=DATE).configurations[0]
    assert max(found.errors_uncalibrated) > 0.3
    assert max(point.error(point.fitted_req_per_s) for point in found.points) < 0.02
    assert np.median(found.errors_left_out) < 0.05
    # Weakly seen constants stay near 1; that of the largest effect is found.
    assert 0.6 < found.replica.constants["compute"] < 0.85


def test_points_as_predicted_leave_constants_alone(tmp_path):
    """Where the model is right, calibration changes nothing."""
    found = calibrate(synthetic(tmp_path, constants=UNCHANGED), date=DATE).configurations[0]
    assert found.replica.constants == pytest.approx(dict.fromkeys(found.replica.constants, 1.0), abs=1e-6)
    assert max(found.errors_left_out) < 1e-6
    assert found.replica.relative_error == NOISE  # never below what a measured rate is worth


@pytest.mark.parametrize("lengths", LENGTHS)
def test_one_point_makes_nothing_worse(tmp_path, lengths):
    """One point does not say which constant is off: every other rate stays as it was, and nothing is claimed."""
    found = calibrate(synthetic(tmp_path, lengths=(lengths,)), date=DATE).configurations[0]
    assert found.replica.constants == {}
    assert found.replica.relative_error is None
    assert found.errors_left_out == []
    fitted = CalibratedProvider((found.replica,), MODELS, GPUS, find_engine("vllm-0.11"))
    config = ReplicaConfig("llama-3-8b", (Stage("A40", 1, 32),))
    assert not fitted.table([config], [workload(1000, 500)]).fits.any()


def test_two_points_are_better_than_none(tmp_path):
    """Of unlike requests, they bring the error of the others down."""
    found = calibrate(synthetic(tmp_path, lengths=(LENGTHS[0], LENGTHS[2])), date=DATE).configurations[0]
    unseen = [lengths for lengths in LENGTHS if lengths not in (LENGTHS[0], LENGTHS[2])]
    true = np.array([true_rate(lengths, TRUTH) for lengths in unseen])
    before, after = (
        np.median(np.abs(np.array([true_rate(lengths, constants) for lengths in unseen]) / true - 1))
        for constants in (UNCHANGED, found.replica.constants)
    )
    assert after < before / 2


def test_an_outlier_bends_nothing_and_is_named(tmp_path):
    """A row copied with a factor of 2 is named; the others are fitted as without it."""
    rows = list(synthetic(tmp_path))
    rows[1] = replace(rows[1], rate_req_per_s=2 * (rows[1].rate_req_per_s or 0.0))
    found = calibrate(rows, date=DATE).configurations[0]
    assert [point.id for point in found.points if point.is_outlier] == [rows[1].id]
    others = [point for point in found.points if not point.is_outlier]
    assert np.median([point.error(point.fitted_req_per_s) for point in others]) < 0.05


def test_a_lone_point_is_left_as_estimated_and_named_where_it_is_grossly_off(tmp_path):
    """70 times too slow on another GPU type moves no rate of the first. Tempting: they share an engine."""
    alone = synthetic(tmp_path)
    lone = points(
        tmp_path,
        [f"h,H100-SXM,llama-3-8b,vllm,0.11.0,1000,1000,1,{true_rate((1000, 1000), UNCHANGED, gpu='H100-SXM') / 70!r}"],
    )
    before, (first, other) = calibrate(alone, date=DATE), calibrate((*alone, *lone), date=DATE).configurations
    assert first == before.configurations[0]
    assert (other.replica.constants, other.replica.relative_error) == ({}, None)
    assert [point.is_outlier for point in other.points] == [True]
    near = points(
        tmp_path, ["h,A40,llama-3-8b,vllm,0.11.0,1000,1000,1," + repr(true_rate((1000, 1000), UNCHANGED) / 2)]
    )
    assert not calibrate(near, date=DATE).configurations[0].points[0].is_outlier


def test_constants_of_a_band_above_the_whole_are_not_used(tmp_path):
    """Two points of which one is 5000 times off: each predicts nothing of the other, and the estimate stands."""
    rows = ["a,A40,llama-3-8b,vllm,0.11.0,500,200,1,0.0005", "b,A40,llama-3-8b,vllm,0.11.0,2000,200,1,1.5"]
    found = calibrate(points(tmp_path, rows), date=DATE)
    assert (found.configurations[0].replica.constants, found.configurations[0].replica.relative_error) == ({}, None)
    path, sound = saved(tmp_path)
    wide = replace(sound.configurations[0], replica=replace(sound.configurations[0].replica, relative_error=1.01))
    save_calibration(replace(sound, configurations=(wide,)), path)
    with pytest.raises(InputError, match="constants of no configuration"):
        load_calibrated(path, analytic())


def test_points_that_say_nothing_are_set_aside_with_a_reason(tmp_path):
    """Paced, doubtful, impossible, without a rate, of names not known: each with its reason, and none is fitted."""
    header = HEADER.strip() + ",request_rate,doubtful,ttft_ms\n"
    row = "A40,llama-3-8b,vllm,0.11.0,1000,1000,1"
    rows = [
        f"paced,{row},1,1,,", f"doubted,{row},1,,True,", f"impossible,{row},9000,,,", f"no-rate,{row},,,,100",
        f"unknown,{row.replace('A40', 'B40')},1,,,",
    ]  # fmt: skip
    found = calibrate(points(tmp_path, rows, header), date=DATE)
    assert found.configurations == ()
    said = {each.id: each.reason for each in found.set_aside}
    assert "paced" in said["paced"]
    assert "doubtful" in said["doubted"]
    assert said["impossible"].startswith("impossible: ")
    assert "no rate" in said["no-rate"]
    assert "unknown GPU type" in said["unknown"]


def test_repeated_runs_are_left_out_together(tmp_path):
    """A point measured twice is not predicted from its twin: its error is as with one of the two."""
    once = synthetic(tmp_path)
    twice = (*once, replace(once[0], id="again"))
    alone, repeated = (calibrate(rows, date=DATE).configurations[0] for rows in (once, twice))
    assert repeated.kinds == alone.kinds
    assert repeated.errors_left_out[-1] == pytest.approx(repeated.errors_left_out[0])
    assert repeated.errors_left_out[0] == pytest.approx(alone.errors_left_out[0], abs=0.02)


def test_loads_of_one_kind_of_requests_claim_no_band_for_others(tmp_path):
    """A sweep over concurrency is fitted; the error band of other requests stays that of the estimate."""
    header = HEADER.strip() + ",concurrency\n"
    rows = [f"c{held},A40,llama-3-8b,vllm,0.11.0,1000,500,1,{held * 0.02!r},{held}" for held in (1, 4, 16)]
    found = calibrate(points(tmp_path, rows, header), date=DATE).configurations[0]
    assert found.kinds == 3
    assert found.replica.constants
    assert found.replica.relative_error is None


def test_few_errors_borrow_those_of_the_engine(tmp_path):
    """Three points each of TP1 and TP2: the band of both is the largest error of all six. Tempting: of three."""
    rows = [row for size in (1, 2) for row in synthetic(tmp_path, lengths=LENGTHS[:3], size=size)]
    found = calibrate(rows, date=DATE).configurations
    errors = [error for each in found for error in each.distances_left_out]
    assert len(errors) == 6
    assert [each.replica.relative_error for each in found] == [max(NOISE, *errors)] * 2
    alone = calibrate(rows[:3], date=DATE).configurations[0]
    assert alone.replica.constants
    assert alone.replica.relative_error is None


def test_the_band_holds_four_fifths_of_the_errors():
    """The next error is below it in four of five cases; the noise at least; none of fewer than four."""
    assert band_of([0.10, 0.20, 0.30]) is None  # the next is above all three in a quarter of the cases
    assert band_of([0.10, 0.20, 0.30, 0.40]) == 0.40
    assert band_of([0.01 * rank for rank in range(1, 15)]) == 0.12  # of 14; the 80th percentile of them is 0.114
    assert band_of([0.10] * 8 + [0.50]) == 0.10
    assert band_of([0.001] * 4) == NOISE
    assert band_of([]) is None


def test_the_same_points_give_the_same_file(tmp_path):
    """Twice the same constants, to the last digit."""
    first, second = (calibration_record(calibrate(synthetic(tmp_path), date=DATE)) for _ in range(2))
    assert first == second


# -- files ------------------------------------------------------------------------------------


def saved(tmp_path: Path) -> tuple[Path, Calibration]:
    found = calibrate(synthetic(tmp_path), date=DATE)
    path = tmp_path / "calibration.json"
    save_calibration(found, path)
    return path, found


def analytic(engine: str = "vllm-0.11") -> AnalyticProvider:
    return AnalyticProvider(MODELS, GPUS, find_engine(engine))


def test_a_file_reads_back_and_says_where_rates_come_from(tmp_path):
    """Constants, points and date return; cells are calibrated, with file, date, number of points and band."""
    path, found = saved(tmp_path)
    assert load_calibration(path) == found
    provider = load_calibrated(path, analytic())
    config = ReplicaConfig("llama-3-8b", (Stage("A40", 1, 32),))
    table = provider.table([config, replace(config, precision="fp8")], [workload(1000, 500)])
    assert table.fits.tolist() == [[True], [False]]
    assert table.provenance[0, 0] is Provenance.CALIBRATED
    assert table.relative_error[0, 0] == found.configurations[0].replica.relative_error
    source = RateSource(Provenance.CALIBRATED, f"{path}: constants fitted to 5 measured points", DATE)
    assert table.sources == (source,)


def test_the_analytic_model_of_a_replica_has_its_constants():
    """Its rates are the calibrated ones but for the factor that no constant stands for; of others, the engine's own."""
    fitted = CalibratedProvider((replica({**TRUTH, "overall": 0.9}),), MODELS, GPUS, find_engine("vllm-0.11"))
    known, other = (ReplicaConfig("llama-3-8b", (Stage(gpu, 1, 32),)) for gpu in ("A40", "L40S"))
    kinds = [workload(*lengths) for lengths in LENGTHS]
    found = fitted.analytic_for(known).table([known], kinds).rate_req_per_s
    assert fitted.table([known], kinds).rate_req_per_s == pytest.approx(0.9 * found)
    assert fitted.analytic_for(other) == analytic("vllm-0.11")


def test_constants_of_another_engine_are_refused(tmp_path):
    """The message names both engines."""
    path, _ = saved(tmp_path)
    with pytest.raises(InputError, match=r"vllm-0\.11") as error:
        load_calibrated(path, analytic("sglang"))
    assert "sglang-0.5" in str(error.value)


def test_constants_fitted_in_another_model_of_throughput_are_refused(tmp_path):
    """Where they no longer give the rates that the file states, they mean nothing: fit them again."""
    path, _ = saved(tmp_path)
    faster = {**GPUS, "A40": replace(GPUS["A40"], bandwidth_gb_per_s=GPUS["A40"].bandwidth_gb_per_s * 1.2)}
    with pytest.raises(InputError, match="fit them again"):
        load_calibrated(path, AnalyticProvider(MODELS, faster, find_engine("vllm-0.11")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(schema_version=99), "schema_version 99"),
        (lambda record: record.pop("configurations"), "no field 'configurations'"),
        (lambda record: record.pop("date"), "date"),
        (lambda record: record["configurations"][0]["replica"]["constants"].update(compute=0.0), "compute = 0.0"),
        (lambda record: record["configurations"][0]["replica"]["constants"].update(magic=1.0), "'magic'"),
        (lambda record: record["configurations"][0]["replica"].update(tensor_parallel_size=0), "TP0"),
        (lambda record: record["configurations"][0]["replica"].update(relative_error=-1), "relative_error = -1"),
        (lambda record: record["configurations"][0].update(points=[]), "no points"),
        (lambda record: record["configurations"][0]["points"][0].update(fitted_req_per_s=0), "numbers above 0"),
        (lambda record: record["configurations"][0].update(replica="x" * 10), "replica"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, change, said):
    """The error names file and field."""
    path, _ = saved(tmp_path)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError) as error:
        load_calibrated(path, analytic())
    assert said in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "text", ["{", "{" * 10_000, '{"schema_version": NaN}', '{"schema_version": 1' + "0" * 5000 + "}"]
)
def test_broken_files(tmp_path, text):
    """No traceback, whatever the bytes."""
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(InputError):
        load_calibration(path)


# -- public figures ---------------------------------------------------------------------------


def median_error(errors: list[list[float]]) -> float:
    return float(np.median(np.concatenate([np.array(each) for each in errors])))


@collected
def test_three_workloads_predict_the_rest_within_five_percent():
    """TensorRT-LLM 0.14, 31 configurations: by lengths alone, and three drawn, the median error is at most 5 %."""
    alike = configurations("trtllm-0.14")
    assert len(alike) == 31
    assert median_error(held_out_errors(alike, by_shape(3))) <= 0.05
    assert median_error(held_out_errors(alike, at_random(3, seed=0))) <= 0.05


@collected
def test_one_workload_is_no_worse_and_two_are_better():
    """By the median over configurations, on points that no fit saw; two drawn at random bring it below 8 %."""
    alike = configurations("trtllm-0.14")

    def error(choose: Choice, count: int) -> float:
        errors = held_out_errors(alike, choose, give=count)
        return float(np.median([np.median(each) for each in errors if each]))

    none, one, two = (error(by_shape(3), count) for count in (0, 1, 2))
    assert one <= none
    assert two < none
    assert error(at_random(2, seed=0), 2) < 0.08
