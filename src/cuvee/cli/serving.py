"""Commands that serve by a plan: serve, api-key."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.running import Place
    from cuvee.serve.server import Server
    from cuvee.serve.serving import Serving

ADMIN_PORT = 8081
"""Where metrics, status and reload are unless told otherwise."""


def serve(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file, as `cuvee plan --json` writes it.")],
    replicas: Annotated[Path, typer.Option("--replicas", help="Where each group of the plan runs: a YAML file.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one.", min=0, max=65535)] = 8080,
    admin_port: Annotated[
        int, typer.Option(help="Port of /metrics, /status and /reload; -1: none.", min=-1, max=65535)
    ] = ADMIN_PORT,
    admin_host: Annotated[str, typer.Option(help="Address of that port.")] = "127.0.0.1",
    keys: Annotated[Path | None, typer.Option(help="API keys, as `cuvee api-key` makes them; default: none.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate chain in PEM, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    access_log: Annotated[Path | None, typer.Option(help="File for a JSON line per request.")] = None,
    trace: Annotated[Path | None, typer.Option(help="File for lengths and times, as --trace of others reads.")] = None,
    queue: Annotated[int | None, typer.Option(help="Requests of a model that may wait for room.", min=0)] = None,
    queue_timeout: Annotated[float | None, typer.Option(help="Longest wait of one [s].")] = None,
    first_byte_timeout: Annotated[float | None, typer.Option(help="Longest wait for an answer to begin [s].")] = None,
    drain_timeout: Annotated[float | None, typer.Option(help="Time for what runs when it is to end [s].")] = None,
    max_body_mb: Annotated[float | None, typer.Option(help="Largest body of a request [MB].")] = None,
    otel: Annotated[
        bool, typer.Option("--otel", help="Send OpenTelemetry spans to OTEL_EXPORTER_OTLP_ENDPOINT.")
    ] = False,
    engine_metrics: Annotated[float | None, typer.Option(help="Time between looks at engines [s]; 0: none.")] = None,
    processes: Annotated[int, typer.Option(help="Gateways that share the port.", min=1, max=256)] = 1,
    process: Annotated[int, typer.Option(hidden=True)] = -1,
    parent: Annotated[int, typer.Option(hidden=True)] = 0,
    check: Annotated[bool, typer.Option("--check", help="Read and check the files, and serve nothing.")] = False,
) -> None:
    """Serve by a plan: an OpenAI-compatible gateway before its replicas."""
    from cuvee.serve.running import Place, load_serving, tls_of
    from cuvee.serve.running import serve as run

    place = Place(
        plan=plan_file, replicas=replicas, keys=keys, certificate=tls_certificate, private_key=tls_key, host=host,
        port=port, admin_host=admin_host, admin_port=_own(admin_port, process), access_log=_file(access_log, process),
        trace=_file(trace, process), processes=processes, process=max(process, 0), parent=parent,
        has_spans=otel,
    )  # fmt: skip
    options = _options(queue, queue_timeout, first_byte_timeout, drain_timeout, max_body_mb, engine_metrics)
    if check or (processes > 1 and process < 0):
        serving = load_serving(place, options)
        tls_of(place)
        _tell(serving)
        if not check:
            _share(place)
        return
    run(place, options, _announce if process <= 0 else None)


def api_key(
    name: Annotated[str, typer.Argument(help="Whose key it is: letters, digits, _ and -.")],
    file: Annotated[Path, typer.Option("--file", help="File of keys; made where it is missing.")],
    requests_per_minute: Annotated[int | None, typer.Option(help="Most requests a minute.", min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Most tokens a minute.", min=1)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Most requests at once.", min=1)] = None,
) -> None:
    """Make an API key for `cuvee serve --keys`: it is printed once, and only its hash is kept."""
    from cuvee.serve.keys import add_key

    limits = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrency": concurrency,
    }
    typer.echo(add_key(file, name, **limits))


def _options(
    queue: int | None,
    queue_timeout: float | None,
    first_byte_timeout: float | None,
    drain_timeout: float | None,
    max_body_mb: float | None,
    engine_metrics: float | None,
) -> "ServeOptions":
    """Options with what the command line says of them."""
    from cuvee.files import BYTES_PER_MB
    from cuvee.serve.options import ServeOptions

    said = {
        "queue": queue,
        "queue_s": queue_timeout,
        "first_byte_s": first_byte_timeout,
        "drain_s": drain_timeout,
        "engine_metrics_s": engine_metrics,
        "body_bytes": None if max_body_mb is None else int(max_body_mb * BYTES_PER_MB),
    }
    return ServeOptions(**{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]


def _own(admin_port: int, process: int) -> int | None:
    """Admin port of one process: those that share a port have one each, side by side."""
    if admin_port < 0:
        return None
    return admin_port + max(process, 0) if admin_port else 0


def _file(path: Path | None, process: int) -> Path | None:
    """File of one process: the first has the name itself."""
    return path if path is None or process <= 0 else path.with_name(f"{path.stem}.{process}{path.suffix}")


def _share(place: "Place") -> None:
    """Run several gateways on one port."""
    import sys

    from cuvee.serve.processes import Family, own_command, reserved_port

    kept = reserved_port(place.host, place.port)
    with kept:
        arguments = [*sys.argv[1:], "--port", str(kept.getsockname()[1])]
        Family(own_command(arguments), place.processes).run()


def _announce(server: "Server") -> None:
    """Say where it listens, and what is to be known."""
    _tell(server.gateway.serving)
    typer.echo(f"serving on http://{_shown(server.address)}/v1", err=True)
    if server.admin is not None:
        typer.echo(f"metrics on http://{_shown(server.admin_address)}/metrics", err=True)


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tell(serving: "Serving") -> None:
    """What is served, in a few lines."""
    names = ", ".join(serving.models)
    typer.echo(f"{len(serving.replicas)} replicas in {len(serving.groups)} groups serve {names}", err=True)
    for note in serving.notes:
        typer.echo(f"note: {note}", err=True)
