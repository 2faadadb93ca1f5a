"""Commands that measure an endpoint: profile."""

import asyncio
import os
import re
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cuvee.cli import profile_options as options
from cuvee.cli.options import JsonOption
from cuvee.cli.terminal import EXIT_INTERRUPTED, Progress, print_json, printable, stdout, working
from cuvee.errors import InputError
from cuvee.units import plural

if TYPE_CHECKING:
    from cuvee.profile.imports.load_point import Deployment
    from cuvee.profile.measure.allowance import Caps
    from cuvee.profile.measure.point import Point
    from cuvee.profile.measure.record import MeasureRecord
    from cuvee.profile.measure.sweep import Measured, Measuring
    from cuvee.workload.records import WorkloadType

NOTHING_MEASURED = 1
LENGTHS = re.compile(r"(?P<input>[0-9]{1,9})x(?P<output>[0-9]{1,9})")


def profile(
    url: options.Url,
    save: options.Save,
    gpu: options.Gpu = None,
    tp: options.Tp = None,
    pp: options.Pp = None,
    replicas: options.Replicas = None,
    model: options.Model = None,
    engine: options.Engine = None,
    engine_version: options.EngineVersion = None,
    weights: options.Weights = None,
    kv: options.Kv = None,
    setup: options.Setup = None,
    trace: options.Trace = None,
    mix: options.Mix = None,
    types: options.Types = None,
    lengths: options.Lengths = None,
    served_name: options.ServedName = None,
    api: options.Api = None,
    prompts: options.Prompts = None,
    api_key_env: options.ApiKeyEnv = None,
    within: options.Within = None,
    latency_within: options.LatencyWithin = None,
    loads: options.Loads = None,
    max_requests: options.MaxRequests = None,
    max_tokens: options.MaxTokens = None,
    max_seconds: options.MaxSeconds = None,
    max_concurrency: options.MaxConcurrency = None,
    least_window: options.LeastWindow = None,
    timeout: options.Timeout = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    as_json: JsonOption = False,
) -> None:
    """Measure an endpoint: the saturated rate and the latency curve of each workload type, as a table of points.

    An interrupted measurement goes on with the same command.
    """
    from cuvee.profile.measure.options import MeasureOptions
    from cuvee.profile.measure.sweep import Measuring

    _refuse_bad(url)
    how: dict[str, Any] = {
        "api": api, "prompts": prompts, "within": within, "latency_within": latency_within, "loads": _shares(loads),
        "max_concurrency": max_concurrency, "least_window_s": least_window, "timeout_s": timeout, "seed": seed,
    }  # fmt: skip
    given = {
        "gpu": gpu, "tp": tp, "pp": pp, "replicas": replicas, "model": model, "engine": engine,
        "engine_version": engine_version, "weights": weights, "kv": kv,
    }  # fmt: skip
    served = _served(given, setup)
    asked_types, (record, earlier) = _types(trace, mix, types, lengths), _earlier(save, force=force)
    caps = _caps(max_requests, max_tokens, max_seconds, asked_types, earlier)
    chosen = MeasureOptions(**{name: value for name, value in how.items() if value is not None})
    _warn_of_short(chosen.least_window_s)
    asked = Measuring(url, served, asked_types, chosen, caps, record, served_name, _key(api_key_env), force)
    if dry_run:
        return _print_intent(asked, earlier, as_json=as_json)
    return _measure(asked, save, as_json=as_json)


def _served(given: dict[str, Any], setup: Path | None) -> "Deployment":
    """What serves, by options over a file; tells of a version that nobody knows."""
    from cuvee.profile.engine import unknown_version
    from cuvee.profile.imports.setup import Setup, load_setup, make_setup

    served = make_setup(given, "command line").over(load_setup(setup) if setup else Setup()).deployment
    if note := unknown_version(served.engine or "", served.engine_version or ""):
        typer.echo(f"note: {printable(note)}", err=True)
    return served


def _warn_of_short(least_window_s: float) -> None:
    """Tell of windows that will make every point doubtful before there is one."""
    from cuvee.profile.imports.doubts import SHORT_S

    if least_window_s < SHORT_S:
        typer.echo(
            f"note: --least-window {least_window_s:g}: points of windows below {SHORT_S:g} s are marked doubtful, and "
            "score, calibrate and plan leave them out",
            err=True,
        )


def _refuse_bad(url: str) -> None:
    """Refuse an address before it is repeated on the screen: it may hold a password."""
    from cuvee.profile.measure.client import endpoint_root

    endpoint_root(url)


def _measure(asked: "Measuring", save: Path, *, as_json: bool) -> None:
    from cuvee.profile.measure.estimate import expected_of
    from cuvee.profile.measure.load_points import measured_points
    from cuvee.report.profile_console import intent_line, point_line, print_profile, profile_record

    typer.echo(intent_line(asked, expected_of(asked.deployment, asked.types, asked.options)), err=True)
    with working(f"measuring {asked.url}") as progress:

        def heard(record: "MeasureRecord", point: "Point") -> None:
            _save(record, save)
            progress.keep(point_line(point))

        measured = _run(_measuring(asked, progress, heard))
        if measured is None:
            raise KeyboardInterrupt
    if measured.record.points:
        _save(measured.record, save)
    table = measured_points(measured.record)
    if as_json:
        print_json(profile_record(measured, table, str(save)))
    else:
        print_profile(measured, table, stdout(), saved=str(save))
    if measured.failure is not None:
        raise _with_place(measured.failure, len(measured.record.points), save)
    if measured.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not measured.record.points:
        raise typer.Exit(NOTHING_MEASURED)


def _with_place(failure: InputError, num_points: int, save: Path) -> InputError:
    """The error, with where the points are that were measured before."""
    saved = f"{plural(num_points, 'point')} measured before: {save}"
    return InputError(f"{failure.arrived}; {saved}", expected=failure.expected, remedy=failure.remedy)


def _run(work: "Coroutine[Any, Any, Measured | None]") -> "Measured | None":
    return asyncio.run(work)


async def _measuring(
    asked: "Measuring",
    progress: Progress,
    heard: Any,  # noqa: ANN401 a callback
) -> "Measured | None":
    """How the measurement ended; None where that was before it began."""
    from cuvee.profile.measure.sweep import Listeners, measure
    from cuvee.profile.measure.watch import StoppedError

    stop = asyncio.Event()

    def interrupt() -> None:
        if progress.interrupted:
            os.write(2, b"interrupted\n")
            os._exit(EXIT_INTERRUPTED)
        progress.interrupted = True
        stop.set()

    def say(text: str) -> None:
        progress.text = text

    # Only the main thread can hear Ctrl-C; where the command runs elsewhere nobody presses it.
    with suppress(RuntimeError, ValueError, NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await measure(asked, stop, Listeners(say, heard))
    except StoppedError:
        return None


def _save(record: "MeasureRecord", save: Path) -> None:
    from cuvee.files import write_atomic
    from cuvee.profile.imports.points_table import points_to_csv
    from cuvee.profile.measure.load_points import measured_points

    write_atomic(save, points_to_csv(measured_points(record)))


def _print_intent(asked: "Measuring", earlier: "MeasureRecord | None", *, as_json: bool) -> None:
    from cuvee.profile.measure.estimate import expected_of
    from cuvee.report.profile_console import intent_record, print_intent

    with working("estimating"):
        expected = expected_of(asked.deployment, asked.types, asked.options)
    if as_json:
        print_json(intent_record(asked, expected, earlier))
    else:
        print_intent(asked, expected, earlier, stdout())


def _types(
    trace: str | None, mix: str | None, types: int | None, lengths: list[str] | None
) -> "tuple[WorkloadType, ...]":
    """Workload types of a trace, a mix or explicit lengths: one of the three."""
    from cuvee.workload import WorkloadType, classify, load_mix, load_trace
    from cuvee.workload.records import type_names

    given = [name for name, value in (("--trace", trace), ("--mix", mix), ("--lengths", lengths)) if value]
    if len(given) != 1:
        raise InputError(
            f"workload types from {' and '.join(given) or 'nowhere'}",
            expected="one of --trace FILE, --mix NAME and --lengths INxOUT",
            remedy="e.g. --trace requests.csv, as the plan will take it; or --lengths 2455x510",
        )
    if types is not None and not trace:
        raise InputError(f"--types {types} without a trace", expected="--trace FILE beside it")
    if trace:
        return classify(load_trace(trace), types=types).types
    if mix:
        return load_mix(mix).types
    means = [_lengths(text) for text in dict.fromkeys(lengths or ())]
    return tuple(WorkloadType(name, *mean) for name, mean in zip(type_names(means), means, strict=True))


def _lengths(text: str) -> tuple[float, float]:
    found = LENGTHS.fullmatch(text.strip().lower())
    if not found or not int(found["input"]) or not int(found["output"]):
        raise InputError(f"--lengths {text!r}", expected="prompt x answer tokens, such as 2455x510")
    return float(found["input"]), float(found["output"])


def _shares(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip().lower() not in ("", "none")]
    try:
        return tuple(sorted({float(part) for part in parts}))
    except ValueError:
        raise InputError(
            f"--loads {text!r}", expected="shares with commas between, or none", remedy="e.g. --loads 0.5,0.85"
        ) from None


def _key(variable: str | None) -> str | None:
    """The API key; it stands in no message and no file."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"--api-key-env {variable}: not set, or empty",
            expected="the name of an environment variable that holds the key",
            remedy=f"export {variable}=..., and run it again",
        )
    if not key.isprintable():
        raise InputError(
            f"--api-key-env {variable}: it holds a control character, such as the end of a line",
            expected="a key of printable characters",
            remedy=f"export {variable}=... anew, without line breaks",
        )
    return key


def _earlier(save: Path, *, force: bool) -> "tuple[Path, MeasureRecord | None]":
    """The record file, and what is to go on; raises InputError where the table is of another origin."""
    from cuvee.profile.measure.record import load_record

    record = save.with_name(f"{save.name.removesuffix('.csv')}.record.json")
    if force:
        return record, None
    if record.is_file():
        return record, load_record(record)
    if save.is_file():
        raise InputError(
            f"{save}: is there already, and no record of how it was measured",
            expected="a new file, or one that this command has begun",
            remedy="overwrite it with --force, or give another --save",
        )
    return record, None


def _caps(
    requests: int | None,
    tokens: int | None,
    seconds: float | None,
    types: "tuple[WorkloadType, ...]",
    earlier: "MeasureRecord | None",
) -> "Caps":
    """What may be sent; without a word on the time so much for each type, those of earlier runs included."""
    from cuvee.profile.measure.allowance import Caps

    names = {each.name for each in (*types, *(earlier.types if earlier else ()))}
    return Caps(requests, tokens, options.SECONDS_A_TYPE * len(names) if seconds is None else seconds)
