"""Commands that exchange measurements with other tools: import, export-profile."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import print_json, stdout, working
from cuvee.units import plural

if TYPE_CHECKING:
    from cuvee.profile.imports.importing import Imported
    from cuvee.profile.imports.setup import Setup

GpuOption = Annotated[str | None, typer.Option(help="GPU type that served; `cuvee gpus` lists them.")]
TpOption = Annotated[int | None, typer.Option(help="GPUs over which each layer was split.")]
PpOption = Annotated[int | None, typer.Option(help="Pipeline stages; default: 1.")]
ReplicasOption = Annotated[int | None, typer.Option(help="Replicas behind the address; default: 1.")]
ModelOption = Annotated[str | None, typer.Option(help="Model; default: the name the server gives it.")]
EngineOption = Annotated[str | None, typer.Option(help="Serving engine, e.g. vllm.")]
EngineVersionOption = Annotated[str | None, typer.Option(help="Its version, e.g. 0.11.0.")]
WeightsOption = Annotated[str | None, typer.Option(help="Precision of the weights; default: as released.")]
KvOption = Annotated[str | None, typer.Option(help="Precision of the cache; default: bf16.")]
ConcurrencyOption = Annotated[
    float | None, typer.Option(help="Requests held under way, where a file does not say how they came.")
]
RequestRateOption = Annotated[float | None, typer.Option(help="Rate of arrivals [req/s], in the same case.")]
AllAtOnceOption = Annotated[bool, typer.Option("--all-at-once", help="All came at once, in the same case.")]
SetupOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The same by name (YAML), and under 'files:' for single files.")
]
OnClashOption = Annotated[
    str, typer.Option(metavar="error|mean|last|first", help="The same load point twice with different figures.")
]


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Results of vllm bench serve, GuideLLM, AIPerf; llm-d reports; CSV; plain or gz."
        ),
    ],
    gpu: GpuOption = None,
    tp: TpOption = None,
    pp: PpOption = None,
    replicas: ReplicasOption = None,
    model: ModelOption = None,
    engine: EngineOption = None,
    engine_version: EngineVersionOption = None,
    weights: WeightsOption = None,
    kv: KvOption = None,
    concurrency: ConcurrencyOption = None,
    request_rate: RequestRateOption = None,
    all_at_once: AllAtOnceOption = False,
    setup: SetupOption = None,
    on_clash: OnClashOption = "error",
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table (CSV) that `cuvee score` reads.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read results of load generators as one table of measured points; flag what clashes or cannot be."""
    from cuvee.files import write_atomic
    from cuvee.profile.imports.importing import import_files
    from cuvee.profile.imports.points_table import points_to_csv
    from cuvee.report.import_console import import_record, print_import

    given = {
        "gpu": gpu, "tp": tp, "pp": pp, "replicas": replicas, "model": model, "engine": engine,
        "engine_version": engine_version, "weights": weights, "kv": kv, "concurrency": concurrency,
        "request_rate": request_rate, "all_at_once": all_at_once or None,
    }  # fmt: skip
    refuse_overwriting(save, force)
    with working(f"reading {plural(len(files), 'file')}"):
        imported = import_files(files, _setup_of(given, setup), on_clash=on_clash)
    if save:
        write_atomic(save, points_to_csv(imported))
    if as_json:
        print_json(import_record(imported, str(save) if save else None))
        return
    print_import(imported, stdout())
    if save:
        typer.echo(f"saved: {save}", err=True)


def export_profile(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Measured points, tables of rates, constants of `cuvee calibrate`, plans, results."
        ),
    ],
    save: Annotated[
        Path, typer.Option(metavar="FOLDER|FILE", help="Where to: a folder, or one .yaml for a table of one point.")
    ],
    gpu: GpuOption = None,
    tp: TpOption = None,
    pp: PpOption = None,
    replicas: ReplicasOption = None,
    model: ModelOption = None,
    engine: EngineOption = None,
    engine_version: EngineVersionOption = None,
    weights: WeightsOption = None,
    kv: KvOption = None,
    concurrency: ConcurrencyOption = None,
    request_rate: RequestRateOption = None,
    all_at_once: AllAtOnceOption = False,
    setup: SetupOption = None,
    on_clash: OnClashOption = "error",
    form: Annotated[str, typer.Option("--format", help="llm-d: Benchmark Reports, version 0.2.1.")] = "llm-d",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
) -> None:
    """Write measured points and rates of profiles in the format of another tool: one report for each."""
    from cuvee.errors import InputError
    from cuvee.files import write_atomic
    from cuvee.profile.imports.llmd_export import file_names, report_text

    if form != "llm-d":
        raise InputError(f"--format {form!r}", expected="llm-d", remedy="leave it out")
    given = {
        "gpu": gpu, "tp": tp, "pp": pp, "replicas": replicas, "model": model, "engine": engine,
        "engine_version": engine_version, "weights": weights, "kv": kv, "concurrency": concurrency,
        "request_rate": request_rate, "all_at_once": all_at_once or None,
    }  # fmt: skip
    with working(f"reading {plural(len(files), 'file')}"):
        found = _profiles(files, _setup_of(given, setup), on_clash)
    targets = file_names(found.points, save)
    for target in targets:
        refuse_overwriting(target, force)
    for target, each in zip(targets, found.points, strict=True):
        write_atomic(target, report_text(each))
    for each in found.points:
        for remark in each.remarks:
            typer.echo(f"note: {each.id}: {remark}", err=True)
    typer.echo(f"{plural(len(found.points), 'report')} written: {save}")


def _setup_of(given: Mapping[str, object], setup: Path | None) -> "Setup":
    """What the options say, over what the file does."""
    from cuvee.profile.imports.setup import Setup, load_setup, make_setup

    return make_setup(dict(given), "command line").over(load_setup(setup) if setup else Setup())


def _profiles(files: list[Path], setup: "Setup", on_clash: str) -> "Imported":
    """Points and rates of files of any kind, as one table."""
    from cuvee.plan.outcome.files import load_plan
    from cuvee.plan.outcome.rate_points import is_plan_file, points_of_plan
    from cuvee.profile.imports.importing import import_points
    from cuvee.profile.imports.own_files import read_own
    from cuvee.profile.imports.setup import completed

    setup.require_named(files)
    points = [
        completed(point, setup.of_file(path))
        for path in files
        for point in (points_of_plan(load_plan(path), str(path)) if is_plan_file(path) else read_own(path))
    ]
    return import_points(points, on_clash=on_clash)
