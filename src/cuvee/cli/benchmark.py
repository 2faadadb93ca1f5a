"""The command `benchmark`: GPU types and configurations beside each other, request type by request type, per dollar."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cuvee.cli.options import JsonOption, listed, parse_model
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import print_json, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.study.question import StudyQuestion

ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="NAME[=SHARE]", help="Model name or config.json; repeat for several."),
]
GpuOption = Annotated[
    list[str] | None,
    typer.Option(help="GPU type, or all on offer; repeatable; default: the paper's, of the market newer ones too."),
]
OffersOption = Annotated[
    list[str] | None,
    typer.Option(help="paper (its prices), market, any offer set, or a file; repeatable; default: paper and market."),
]
WorkloadOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PROMPTxANSWER", help="Mean lengths [tokens], e.g. 2455x510; repeatable."),
]
TypesOption = Annotated[
    int | None, typer.Option(help="Workload types chosen from the trace's lengths; default: nine fixed cells.")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[,NAME]", help="Weights: bf16, fp8, int4, ...; of several the best; default: as released."
    ),
]
ThroughputOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE", help="Measured throughput (CSV, JSON), or constants of `cuvee calibrate`; repeatable."
    ),
]
HtmlOption = Annotated[
    str | None, typer.Option("--html", metavar="FILE", help="Write all of it as one page with charts, too.")
]
SvgOption = Annotated[
    str | None, typer.Option("--svg", metavar="FILE", help="Draw the heat map of the last offers as a picture, too.")
]
LatenciesOption = Annotated[
    bool,
    typer.Option("--latencies", help="Print latency percentiles and their cost, and TTFT, TPOT and E2E over load."),
]
LoadOption = Annotated[
    float | None, typer.Option(help="Share of the saturated rate at which latencies are stated; default: 0.7.")
]


def benchmark(
    model: ModelOption = None,
    gpu: GpuOption = None,
    offers: OffersOption = None,
    spot: Annotated[bool, typer.Option("--spot/--no-spot", help="Count spot offers; default: no.")] = False,
    workload: WorkloadOption = None,
    trace: Annotated[str | None, typer.Option(metavar="FILE", help="Request trace, CSV or JSONL, plain or gz.")] = None,
    mix: Annotated[str | None, typer.Option(help="trace-1, trace-2, trace-3, or a mix file (CSV, YAML).")] = None,
    types: TypesOption = None,
    precision: PrecisionOption = None,
    engine: Annotated[str | None, typer.Option(help="Serving engine; `cuvee engines` lists them.")] = None,
    throughput: ThroughputOption = None,
    load: LoadOption = None,
    configurations: Annotated[
        bool, typer.Option("--configurations", help="Print the best configuration of each GPU type, too.")
    ] = False,
    latencies: LatenciesOption = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every figure as CSV.")] = False,
    html: HtmlOption = None,
    svg: SvgOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
) -> None:
    """Compare GPU types and configurations by requests per dollar; say which of the paper's observations hold.

    Without arguments: Llama-3 8B and 70B, the paper's nine workload types, its prices and those of the market.
    """
    from cuvee.files import write_atomic
    from cuvee.report.study_console import print_study
    from cuvee.report.study_page import study_page
    from cuvee.report.study_svg import study_to_svg
    from cuvee.study.files import study_csv, study_record

    if as_json and as_csv:
        raise InputError("--json and --csv", expected="one of them", remedy="leave one out")
    lists = {"gpus": gpu, "offers": offers, "workloads": workload, "throughput": throughput}
    single = {"trace": trace, "mix": mix, "types": types, "engine": engine, "load": load, "spot": spot}
    _refuse_empty({"model": model, "precision": precision, "html": html, "svg": svg, **lists, **single})
    _refuse_to_overwrite(html, svg, force=force)
    question = _question(model, precision, lists, single)
    with working("comparing") as progress:
        answer = question.answer()
        for note in answer.notes:
            progress.keep(f"note: {note}")
        if html is not None:
            progress("drawing")
            write_atomic(html, study_page(answer.studies, answer.performances))
        if svg is not None:
            write_atomic(svg, study_to_svg(answer.studies[-1]))
    rated = answer.performances if latencies else ()
    if as_json:
        print_json(study_record(answer.studies, rated))
    elif as_csv:
        typer.echo(study_csv(answer.studies), nl=False)
    else:
        print_study(answer.studies, stdout(), configurations=configurations, latencies=latencies, performances=rated)


def _refuse_to_overwrite(html: str | None, svg: str | None, *, force: bool) -> None:
    files = [Path(each) for each in (html, svg) if each is not None]
    for file in files:
        refuse_overwriting(file, force)
    if len({file.resolve() for file in files}) < len(files):
        raise InputError(f"--html and --svg: both {html}", expected="two files", remedy="give one another name")


def _question(
    models: Sequence[str] | None,
    precision: str | None,
    lists: Mapping[str, Sequence[str] | None],
    single: Mapping[str, Any],
) -> "StudyQuestion":
    """What the options ask; what was not given keeps its default."""
    from cuvee.study.question import StudyQuestion

    given: dict[str, Any] = {name: tuple(value) for name, value in lists.items() if value is not None}
    given |= {name: value for name, value in single.items() if value is not None}
    if models is not None:
        records = [parse_model(text) for text in models]
        given["shares"] = tuple((record["model"], record.get("share")) for record in records)
    if precision is not None:
        given["precisions"] = tuple(listed(precision))
    return StudyQuestion(**given)


def _refuse_empty(values: Mapping[str, Any]) -> None:
    """An empty name is a shell variable that was not set, not a wish for the default."""
    for name, value in values.items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise InputError(
                f"{name}: an empty text", expected="a name or file", remedy="leave the option out, or fill it"
            )
