"""Profile files: fitted constants with the points they come from, as versioned JSON, and back."""

import json
import math
import re
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuvee._version import __version__
from cuvee.errors import InputError, reason_of
from cuvee.files import read_text, write_atomic
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.calibrated import CalibratedProvider
from cuvee.profile.calibration import WIDEST_BAND, CalibratedConfiguration, Calibration
from cuvee.profile.points import ANY_CONTEXT, held_to
from cuvee.units import plural
from cuvee.workload.records import WorkloadType

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
MAX_FILE_MB = 64.0
SAME_MODEL = 1e-4
"""Widest gap between the rate a file states of its constants and what they give here [-]: beyond it the model they
were fitted in is another."""

AGAIN = "fit them again: cuvee calibrate POINTS --save FILE"


@cache
def _adapter() -> "TypeAdapter[Calibration]":
    from pydantic import TypeAdapter  # 0.1 s to import: only those who read such files pay

    return TypeAdapter(Calibration)


def calibration_record(calibration: Calibration) -> dict[str, Any]:
    """The profile file as plain data: the fields of `Calibration`, versions first."""
    return {"schema_version": SCHEMA_VERSION, "cuvee_version": __version__, **asdict(calibration)}


def save_calibration(calibration: Calibration, path: str | Path) -> None:
    """Write a profile file, whole or not at all; raises InputError where the place cannot be written."""
    write_atomic(path, json.dumps(calibration_record(calibration), indent=2, allow_nan=False) + "\n")


def is_calibration_file(path: str | Path) -> bool:
    """Whether a file holds fitted constants: a JSON object, where tables of rates are lists or CSV."""
    return read_text(path, max_mb=MAX_FILE_MB).lstrip().startswith("{")


def load_calibration(path: str | Path, *, text: str | None = None) -> Calibration:
    """Read a profile file.

    Parameters
        text        Of the file, where it was read already.
    Raises          InputError: not such a file, of a schema this version does not know, or with figures that cannot be.
    """
    from pydantic import ValidationError

    try:
        record = json.loads(read_text(path, max_mb=MAX_FILE_MB) if text is None else text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # ValueError: broken JSON, or a number of over 4300 digits
        raise InputError(
            f"{path}: not JSON ({reason_of(error)})", expected="a profile file in JSON, whole", remedy=AGAIN
        ) from None
    arrived = record.get("schema_version") if isinstance(record, dict) else None
    if arrived != SCHEMA_VERSION or "configurations" not in record:
        missing = f"schema_version {arrived!r}" if arrived != SCHEMA_VERSION else "no field 'configurations'"
        raise InputError(
            f"{path}: {missing}", expected=f"a profile file of schema_version {SCHEMA_VERSION}", remedy=AGAIN
        )
    try:
        found = _adapter().validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        where, cause = ".".join(map(str, first["loc"])), first.get("ctx", {}).get("error")
        said = cause.arrived if isinstance(cause, InputError) else first["msg"]
        raise InputError(
            f"{path}: {where}: {said}", expected="a file as cuvee calibrate writes it", remedy=AGAIN
        ) from None
    except InputError as error:
        raise InputError(f"{path}: {error.arrived}", expected=error.expected, remedy=error.remedy) from None
    for each in found.configurations:
        _require_sound(path, each)
    return found


def load_calibrated(path: str | Path, analytic: AnalyticProvider) -> CalibratedProvider:
    """The constants of a profile file for the engine, models and GPU types of `analytic`.

    Raises      InputError: as `load_calibration`; nothing for that engine; or fitted in another model of throughput.
    """
    calibration = load_calibration(path)
    known = [
        each
        for each in calibration.configurations
        if each.replica.constants and (each.replica.relative_error or 0.0) <= WIDEST_BAND
    ]
    mine = [each for each in known if each.replica.engine == analytic.engine.name]
    if not mine:
        engines = sorted({each.replica.engine for each in known})
        raise InputError(
            f"{path}: constants of {', '.join(engines) or 'no configuration'}",
            expected=f"constants of {analytic.engine.name}, which is planned with",
            remedy="choose the engine with --engine, or leave the file out",
        )
    replicas = []
    for each in sorted(mine, key=_age):
        replica = replace(each.replica, source=_source(path, mine), date=calibration.date)
        _require_same_model(path, each, analytic)
        replicas.append(replica)
    return CalibratedProvider(
        tuple(replicas), analytic.models, analytic.gpus, analytic.engine, analytic.network_gb_per_s
    )


def _source(path: str | Path, mine: list[CalibratedConfiguration]) -> str:
    points = sum(len(each.points) for each in mine)
    of_all = f" of {len(mine)} configurations" if len(mine) > 1 else ""
    return f"{path}: constants fitted to {plural(points, 'measured point')}{of_all}"


def _age(configuration: CalibratedConfiguration) -> tuple[list[int], int]:
    """Later versions after earlier ones, and of one version that with most points last: the last counts."""
    return [int(each[:9]) for each in re.findall(r"\d+", configuration.engine_version)], len(configuration.points)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _require_sound(path: str | Path, configuration: CalibratedConfiguration) -> None:
    """Raise where rates or lengths cannot be."""
    label = f"{path}: {configuration.replica.model} on {configuration.replica.gpu}"
    if not configuration.points:
        raise InputError(f"{label}: no points", expected="the points that constants come from", remedy=AGAIN)
    for point in configuration.points:
        rates = (point.rate_req_per_s, point.uncalibrated_req_per_s, point.fitted_req_per_s, point.left_out_req_per_s)
        lengths = (point.input_tokens, point.output_tokens)
        held = (point.concurrency,) if point.concurrency is not None else ()
        if not all(math.isfinite(each) and each > 0 for each in (*rates, *lengths, *held)):
            raise InputError(
                f"{label}: point {point.id!r} with rates {rates} and lengths {lengths}",
                expected="numbers above 0",
                remedy=AGAIN,
            )


def _require_same_model(path: str | Path, configuration: CalibratedConfiguration, analytic: AnalyticProvider) -> None:
    """Raise where the constants do not give the rates that the file states of them."""
    replica = configuration.replica
    if replica.model not in analytic.models or replica.gpu not in analytic.gpus:
        return
    model = replace(analytic.models[replica.model], max_context=ANY_CONTEXT)
    gpu, point = analytic.gpus[replica.gpu], configuration.points[0]
    engine = analytic.engine if point.concurrency is None else held_to(point.concurrency, analytic.engine, gpu)
    provider = CalibratedProvider((replica,), {replica.model: model}, {gpu.name: gpu}, engine)
    kind = WorkloadType("as measured", point.input_tokens, point.output_tokens)
    found = float(provider.table([replica.config(model.num_layers)], [kind]).rate_req_per_s[0, 0])
    if abs(found / point.fitted_req_per_s - 1) > SAME_MODEL:
        raise InputError(
            f"{path}: {replica.model} on {replica.gpu}: its constants give {found:.6g} req/s at "
            f"{point.input_tokens:g}/{point.output_tokens:g} tokens, not the {point.fitted_req_per_s:.6g} it states",
            expected="constants that were fitted in this model of throughput, with these GPU types and shapes",
            remedy=AGAIN,
        )
