"""Commands that read the kernel tables of other tools: import-kernels."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cuvee.cli import options
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import print_json, stdout, working
from cuvee.errors import InputError


@options.asks
def import_kernels(
    question: options.Question,
    *,
    gpu: Annotated[
        list[str] | None, typer.Option("--gpu", metavar="NAME", help="GPU types; default: those on offer; repeatable.")
    ] = None,
    tp: Annotated[
        list[int] | None, typer.Option("--tp", metavar="N", help="GPUs of a replica; default: 1, 2, 4, 8; repeatable.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table (CSV) that `cuvee plan --throughput` reads.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Rates from AIConfigurator's kernel tables, for a planning question and where they are sound (extra needed)."""
    from cuvee.catalog.gpus import find_gpu
    from cuvee.files import write_atomic
    from cuvee.plan.scenario.resolve import resolve_problem
    from cuvee.profile.engine import find_engine
    from cuvee.profile.imports.kernel_rates import SIZES, AskedModel, kernel_rates, rates_to_csv
    from cuvee.report.kernels_console import kernels_record, print_kernels

    refuse_overwriting(save, force)
    with working("reading kernel tables"):
        scenario, _ = question.read()
        if scenario.melange:
            raise InputError(
                "--melange for kernel tables", expected="models whose shape is known", remedy="name them with --model"
            )
        problem = resolve_problem(scenario)
        found = kernel_rates(
            [
                AskedModel(entry.model, entry.precisions, entry.kv_precision, entry.demand.types)
                for entry in problem.models
            ],
            list(dict.fromkeys([find_gpu(name).name for name in gpu or ()] or [o.gpu for o in problem.offers.offers])),
            engine=find_engine(scenario.engine).name,
            date=datetime.now(UTC).date().isoformat(),
            sizes=tp or SIZES,
            must_be_sound=bool(gpu and tp),
        )
    if save:
        write_atomic(save, rates_to_csv(found))
    if as_json:
        print_json(kernels_record(found, str(save) if save else None))
        return
    print_kernels(found, stdout())
    if save:
        typer.echo(f"saved: {save}", err=True)
