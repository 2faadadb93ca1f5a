"""Commands that serve by a plan: serve."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cuvee.serve.server import Server
    from cuvee.serve.serving import Serving


def serve(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file, as `cuvee plan --json` writes it.")],
    replicas: Annotated[Path, typer.Option("--replicas", help="Where each group of the plan runs: a YAML file.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one.", min=0, max=65535)] = 8080,
    check: Annotated[bool, typer.Option("--check", help="Read and check the files, and serve nothing.")] = False,
) -> None:
    """Serve by a plan: an OpenAI-compatible gateway before its replicas."""
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.running import Place, load_serving
    from cuvee.serve.running import serve as run

    place = Place(plan=plan_file, replicas=replicas, host=host, port=port)
    options = ServeOptions()
    if check:
        _tell(load_serving(place, options))
        return
    run(place, options, _announce)


def _announce(server: "Server") -> None:
    """Say where it listens, and what is to be known."""
    _tell(server.gateway.serving)
    host, port = server.address
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"serving on http://{shown}:{port}/v1", err=True)


def _tell(serving: "Serving") -> None:
    """What is served, in a few lines."""
    names = ", ".join(serving.models)
    typer.echo(f"{len(serving.replicas)} replicas in {len(serving.groups)} groups serve {names}", err=True)
    for note in serving.notes:
        typer.echo(f"note: {note}", err=True)
