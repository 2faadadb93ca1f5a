"""Commands that exchange measurements with other tools: import, export-profile."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.options import JsonOption, asks
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import print_json, stdout, working
from cuvee.units import plural

if TYPE_CHECKING:
    from cuvee.profile.imports.importing import Imported
    from cuvee.profile.imports.setup import Setup


@dataclass(frozen=True)
class Stated:
    """What served and how requests came, where files do not say it, and what becomes of clashes."""

    gpu: Annotated[str | None, typer.Option(help="GPU type that served; `cuvee gpus` lists them.")] = None
    tp: Annotated[int | None, typer.Option(help="GPUs over which each layer was split.")] = None
    pp: Annotated[int | None, typer.Option(help="Pipeline stages; default: 1.")] = None
    replicas: Annotated[int | None, typer.Option(help="Replicas behind the address; default: 1.")] = None
    model: Annotated[str | None, typer.Option(help="Model; default: the name the server gives it.")] = None
    engine: Annotated[str | None, typer.Option(help="Serving engine, e.g. vllm.")] = None
    engine_version: Annotated[str | None, typer.Option(help="Its version, e.g. 0.11.0.")] = None
    weights: Annotated[str | None, typer.Option(help="Precision of the weights; default: as released.")] = None
    kv: Annotated[str | None, typer.Option(help="Precision of the cache; default: bf16.")] = None
    concurrency: Annotated[
        float | None, typer.Option(help="Requests held under way, where a file does not say how they came.")
    ] = None
    request_rate: Annotated[float | None, typer.Option(help="Rate of arrivals [req/s], in the same case.")] = None
    all_at_once: Annotated[bool, typer.Option("--all-at-once", help="All came at once, in the same case.")] = False
    setup: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same by name (YAML), and under 'files:' for single files.")
    ] = None
    on_clash: Annotated[
        str, typer.Option(metavar="error|mean|last|first", help="The same load point twice with different figures.")
    ] = "error"

    def read(self) -> "Setup":
        """What the options say, over what the file does."""
        from cuvee.profile.imports.setup import Setup, load_setup, make_setup

        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_OF_A_SETUP}
        given = {**said, "all_at_once": self.all_at_once or None}
        return make_setup(given, "command line").over(load_setup(self.setup) if self.setup else Setup())


NOT_OF_A_SETUP = ("setup", "on_clash")
"""Fields that say nothing of what served."""


@asks
def import_(
    stated: Stated,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Results of vllm bench serve, GuideLLM, AIPerf; llm-d reports; CSV; plain or gz."
        ),
    ],
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

    refuse_overwriting(save, force)
    with working(f"reading {plural(len(files), 'file')}"):
        imported = import_files(files, stated.read(), on_clash=stated.on_clash)
    if save:
        write_atomic(save, points_to_csv(imported))
    if as_json:
        print_json(import_record(imported, str(save) if save else None))
        return
    print_import(imported, stdout())
    if save:
        typer.echo(f"saved: {save}", err=True)


@asks
def export_profile(
    stated: Stated,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Measured points, tables of rates, constants of `cuvee calibrate`, plans, results."
        ),
    ],
    save: Annotated[
        Path, typer.Option(metavar="FOLDER|FILE", help="Where to: a folder, or one .yaml for a table of one point.")
    ],
    form: Annotated[str, typer.Option("--format", help="llm-d: Benchmark Reports, version 0.2.1.")] = "llm-d",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
) -> None:
    """Write measured points and rates of profiles in the format of another tool: one report for each."""
    from cuvee.errors import InputError
    from cuvee.files import write_atomic
    from cuvee.profile.imports.llmd_export import file_names, report_text

    if form != "llm-d":
        raise InputError(f"--format {form!r}", expected="llm-d", remedy="leave it out")
    with working(f"reading {plural(len(files), 'file')}"):
        found = _profiles(files, stated)
    targets = file_names(found.points, save)
    for target in targets:
        refuse_overwriting(target, force)
    for target, each in zip(targets, found.points, strict=True):
        write_atomic(target, report_text(each))
    for each in found.points:
        for remark in each.remarks:
            typer.echo(f"note: {each.id}: {remark}", err=True)
    typer.echo(f"{plural(len(found.points), 'report')} written: {save}")


def _profiles(files: list[Path], stated: Stated) -> "Imported":
    """Points and rates of files of any kind, as one table."""
    from cuvee.plan.outcome.files import load_plan
    from cuvee.plan.outcome.rate_points import is_plan_file, points_of_plan
    from cuvee.profile.imports.importing import import_points
    from cuvee.profile.imports.own_files import read_own
    from cuvee.profile.imports.setup import completed

    setup = stated.read()
    setup.require_named(files)
    points = [
        completed(point, setup.of_file(path))
        for path in files
        for point in (points_of_plan(load_plan(path), str(path)) if is_plan_file(path) else read_own(path))
    ]
    return import_points(points, on_clash=stated.on_clash)
