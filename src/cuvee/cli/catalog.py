"""Commands that list the catalogue: gpus, models, offers, engines."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.terminal import print_json, stdout

if TYPE_CHECKING:
    from cuvee.catalog import GpuType, ModelSpec, Offer

MOST_ROWS = 1000
"""Rows of a table that somebody may read; a catalogue of all clouds has a hundred times as many."""


def gpus(as_json: JsonOption = False) -> None:
    """List the GPU types of the catalogue, with source and date."""
    from dataclasses import asdict

    from cuvee.catalog import load_gpu_types

    types = load_gpu_types().values()
    if as_json:
        print_json([asdict(gpu) for gpu in types])
        return
    _print_rows(
        ("GPU", "arch", "GB", "GB/s", "TFLOPS 16 bit", "8 bit", "link GB/s", "W", "seen"),
        [_gpu_row(gpu) for gpu in types],
        "dense rates; link one direction; seen: whether the maker's sheet itself was read (all read 2026-11)",
    )


def _gpu_row(gpu: "GpuType") -> tuple[str, ...]:
    eight_bit = gpu.tflops.get("fp8") or gpu.tflops.get("int8")
    return (
        gpu.name,
        gpu.architecture,
        f"{gpu.memory_gb:g}",
        f"{gpu.bandwidth_gb_per_s:,.0f}",
        f"{gpu.compute_tflops('bf16'):,.0f}",
        f"{eight_bit:,.0f}" if eight_bit else "",
        f"{gpu.link_gb_per_s:g} {gpu.link_kind}",
        f"{gpu.tdp_w:g}" if gpu.tdp_w else "",
        "yes" if gpu.verified else "",
    )


def models(as_json: JsonOption = False) -> None:
    """List the models of the catalogue; any config.json works as well."""
    from dataclasses import asdict

    from cuvee.catalog import load_models

    specs = load_models().values()
    if as_json:
        print_json([asdict(spec) for spec in specs])
        return
    _print_rows(
        ("model", "parameters", "active", "layers", "context", "released", "weights GB", "KV kB/token"),
        [_model_row(spec) for spec in specs],
        "weights as released; KV cache in 16 bit, no window applied",
    )


def _model_row(spec: "ModelSpec") -> tuple[str, ...]:
    return (
        spec.name,
        f"{spec.params_total / 1e9:.1f} B",
        f"{spec.params_active / 1e9:.1f} B",
        str(spec.num_layers),
        f"{spec.max_context:,}",
        spec.released_precision,
        f"{spec.weight_bytes(spec.released_precision) / 1e9:.0f}",
        f"{spec.kv_bytes_per_token() / 1e3:.0f}",
    )


def offers(
    name: Annotated[str | None, typer.Argument(help="Offer set or file; all sets are named if left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what an offer set or file rents out, with prices, stock and their date."""
    from dataclasses import asdict

    from cuvee.catalog import load_offers, offer_set_names
    from cuvee.report.style import dated

    if name is None:
        sets = [load_offers(each) for each in offer_set_names()]
        rows = [(each.name, str(len(each.offers)), each.as_of, each.source) for each in sets]
        if as_json:
            print_json([dict(zip(("name", "offers", "as_of", "source"), row, strict=True)) for row in rows])
        else:
            _print_rows(("offer set", "offers", "prices of", "source"), rows, "or give a file: cuvee offers FILE")
        return
    found = load_offers(name)
    if as_json:
        print_json(asdict(found))
        return
    note = "; ".join([f"{found.source}, {dated(found.as_of)}", *found.notes])
    if len(found.offers) > MOST_ROWS:
        note = f"{MOST_ROWS:,} of {len(found.offers):,} offers shown; --json lists all; {note}"
    header = ("GPU", "seller", "region", "GPUs", "machine", "spot", "$/h", "$/GPU/h", "stock", "as of")
    _print_rows(header, [_offer_row(offer) for offer in found.offers[:MOST_ROWS]], note)


def _offer_row(offer: "Offer") -> tuple[str, ...]:
    return (
        offer.gpu,
        offer.seller,
        offer.region if offer.zone == "any" else f"{offer.region}/{offer.zone}",
        str(offer.num_gpus),
        str(offer.machine_gpus),
        "spot" if offer.spot else "",
        f"{offer.price_usd_per_hour:.2f}",
        f"{offer.price_usd_per_gpu_hour:.2f}",
        "?" if offer.stock is None else str(offer.stock),
        offer.as_of,
    )


def engines(as_json: JsonOption = False) -> None:
    """List the serving engines whose constants are known, with their source."""
    from dataclasses import asdict

    from cuvee.profile.engine import ENGINES

    if as_json:
        print_json([asdict(engine) for engine in ENGINES.values()])
        return
    rows = [
        (name, f"+-{engine.relative_error:.0%}" if engine.measured_sizes else "not known", engine.source)
        for name, engine in ENGINES.items()
    ]
    _print_rows(("engine", "error band", "source of its constants"), rows, "default: vllm, the same as vllm-0.11")


def _print_rows(header: tuple[str, ...], rows: list[tuple[Any, ...]], note: str) -> None:
    from rich.text import Text

    from cuvee.report.style import fitted, literal, new_table

    console = stdout()
    table = new_table(console)
    texts = []
    for column, title in enumerate(header):
        numeric = all(str(row[column])[:1].isdigit() or row[column] in ("", "?") for row in rows)
        table.add_column(title, justify="right" if numeric else "left")
        texts += [] if numeric else [title]
    for row in rows:
        table.add_row(*map(str, row))
    console.print(fitted(table, console, fold=texts))
    console.print(Text(literal(note), style="dim"))
