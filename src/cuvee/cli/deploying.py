"""Commands that run a plan: up."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import EXIT_INTERRUPTED, printable, stdout
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.deploy.engines_file import Recipes
    from cuvee.deploy.supervisor import Member
    from cuvee.plan.outcome.result import Plan

SHOW_S = 0.5
"""Time between two drawings of the table [s]."""


def up(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file, as `cuvee plan --json` writes it.")],
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|COMMAND", help="vllm, sglang, llama.cpp, or a command with {port} in it; default: the plan's."
        ),
    ] = None,
    engines: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How each GPU type or group is started (YAML).")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="[NAME=]PATH", help="What engines load for a model; repeatable."),
    ] = None,
    devices: Annotated[
        list[str] | None,
        typer.Option(metavar="GPU=NUMBERS", help="GPUs of this machine, e.g. L40S=0-3; default: as nvidia-smi shows."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where the gateway listens; replicas only with --no-gateway.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the gateway.")] = 8000,
    admin_port: Annotated[int, typer.Option(min=-1, max=65535, help="Port of its metrics; -1: none.")] = 8081,
    replica_port: Annotated[int, typer.Option(min=1, max=65535, help="First port of replicas.")] = 8100,
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="For replicas.yaml and logs.")] = Path("fleet"),
    start_timeout: Annotated[float, typer.Option(help="Longest start of a replica [s].")] = 600.0,
    silent_timeout: Annotated[float, typer.Option(help="Silence after which a replica is started anew [s].")] = 60.0,
    grace: Annotated[float, typer.Option(help="Time to end by itself before it is killed [s].")] = 15.0,
    keys: Annotated[Path | None, typer.Option(help="API keys that the gateway asks for; default: none.")] = None,
    gateway: Annotated[bool, typer.Option("--gateway/--no-gateway", help="Start the gateway as well.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, and start nothing.")] = False,
) -> None:
    """Run a plan on this machine: its replicas and the gateway before them, until Ctrl-C."""
    from cuvee.deploy.fleet import FleetOptions, gateway_program, run_fleet
    from cuvee.deploy.launches import Place, free_ports, launches_of
    from cuvee.deploy.supervisor import Patience
    from cuvee.plan.outcome.files import load_plan
    from cuvee.report.fleet_console import commands_text

    plan = load_plan(plan_file)
    recipes = _recipes(plan, engine, engines)
    patience = Patience(start_s=start_timeout, silent_s=silent_timeout, grace_s=grace)
    options = FleetOptions(
        folder=folder, host=host, port=port if gateway else None, admin_port=_or_none(admin_port),
        keys=_readable(keys, gateway=gateway), drain_s=patience.drain_s,
    )  # fmt: skip
    number = sum(group.copies for group in plan.groups)
    inner = "127.0.0.1" if gateway else host  # engines ask for no keys: with a gateway nobody else is to reach them
    with ExitStack() as claims:
        place = Place(inner, free_ports(inner, replica_port, number, claims), _models(plan, model or ()))
        launches = launches_of(plan, recipes, place, _devices(devices))
        if gateway:
            _require_free(host, "--port", port)
            _require_free("127.0.0.1", "--admin-port", options.admin_port)
        if dry_run:
            typer.echo(commands_text(launches, gateway_program(plan_file, options).command if gateway else None))
            return
        with _until_asked() as is_over, _shown(plan, options.admin_port if gateway else None) as (tell, show):
            run_fleet(launches, plan_file, options, patience, tell=tell, show=show, is_over=is_over)


def _or_none(port: int) -> int | None:
    return None if port < 0 else port


def _readable(keys: Path | None, *, gateway: bool) -> Path | None:
    """The file of keys, found to be one."""
    if keys is not None:
        from cuvee.serve.keys import load_keys

        if not gateway:
            raise InputError("--keys without a gateway", expected="one that asks for them", remedy="leave one out")
        load_keys(keys)
    return keys


def _require_free(host: str, option: str, port: int | None) -> None:
    from cuvee.deploy.launches import free_ports

    if port and free_ports(host, port, 1) != (port,):
        raise InputError(f"{option} {port}: in use", expected="a free port", remedy=f"e.g. {option} {port + 10}")


def _recipes(plan: "Plan", engine: str | None, engines: Path | None) -> "Recipes":
    """How replicas are started: by the engines file, where it is silent by --engine, else by the plan's engine."""
    from cuvee.deploy.engines_file import Recipes, load_recipes
    from cuvee.deploy.recipe import ENGINES, engine_recipe

    default = engine_recipe(engine) if engine is not None else None
    if engines is not None:
        return load_recipes(engines, plan.groups, default)
    if default is None:
        family = plan.inputs.engine.name.rpartition("-")[0]
        if family not in ENGINES:
            raise InputError(
                f"a plan for {plan.inputs.engine.name!r}", expected=f"an engine out of {', '.join(ENGINES)}",
                remedy="name one with --engine, or give its command: --engine 'serve {model} --port {port}'",
            )  # fmt: skip
        default = ENGINES[family]
    return Recipes(default)


def _models(plan: "Plan", given: Sequence[str]) -> dict[str, str]:
    """What engines load, by model of the plan."""
    known = list(dict.fromkeys(group.model for group in plan.groups))
    found: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = known[0] if len(known) == 1 else "", text
        if name not in known or not path:
            raise InputError(
                f"--model {text!r}", expected=f"NAME=PATH with a model of the plan: {', '.join(known)}",
                remedy=f"e.g. --model {known[0] if known else 'llama-3-8b'}=/models/it",
            )  # fmt: skip
        found[name] = path
    return found


def _devices(given: Sequence[str] | None) -> dict[int, str]:
    from cuvee.deploy.devices import shown_devices, stated_devices

    return stated_devices(given) if given else shown_devices()


@contextmanager
def _until_asked() -> Iterator[Callable[[], bool]]:
    """Whether somebody asked for the end: Ctrl-C, SIGTERM, SIGHUP. A second time ends the launcher at once."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        if asked:
            os._exit(EXIT_INTERRUPTED)  # the guardian ends what is left
        asked.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _shown(
    plan: "Plan", admin_port: int | None
) -> "Iterator[tuple[Callable[[str], None], Callable[[Sequence[Member]], None]]]":
    """Who is told what happens, and who is shown what runs: a live table on a terminal, else a line for each event."""
    console = stdout()
    if not console.is_terminal:
        yield lambda text: typer.echo(printable(text)), lambda _: None
        return
    from rich.live import Live

    from cuvee.deploy.traffic import TrafficWatch
    from cuvee.report.fleet_console import fleet_table

    drawn_s = float("-inf")
    watch = TrafficWatch("127.0.0.1", admin_port) if admin_port else None
    with Live(console=console, auto_refresh=False) as live:

        def show(members: "Sequence[Member]") -> None:
            nonlocal drawn_s
            now_s = time.monotonic()
            if now_s - drawn_s >= SHOW_S:
                drawn_s = now_s
                traffic = watch.at(now_s) if watch else {}
                live.update(fleet_table(plan, members, traffic, now_s=now_s), refresh=True)

        yield lambda text: live.console.print(printable(text)), show
    if watch:
        watch.close()
