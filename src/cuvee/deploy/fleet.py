"""A plan's replicas and the gateway before them as processes of this machine, kept running until somebody asks for the
end.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cuvee.deploy.guardian import Guardian
from cuvee.deploy.health import Probes
from cuvee.deploy.launches import Launch, replicas_yaml
from cuvee.deploy.process import Program, Running
from cuvee.deploy.supervisor import Member, Patience, Supervisor
from cuvee.files import write_atomic

GATEWAY = "gateway"
STEP_S = 0.05


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """Where a fleet's files and ports are.

    Attributes
        folder          For replicas.yaml and logs/.
        host, port      Where the gateway listens; None for no gateway.
        keys            Keys that it asks for; None: anybody may ask.
        drain_s         Time that it gives requests under way when it is to end [s].
        admin_port      Where it tells its metrics, on the loopback address; None for nowhere.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int | None = 8000
    keys: Path | None = None
    drain_s: float = 14.0
    admin_port: int | None = 8081

    @property
    def replicas_file(self) -> Path:
        """What the gateway reads."""
        return self.folder / "replicas.yaml"

    def log_of(self, name: str) -> Path:
        """Where the output of a program goes."""
        return self.folder / "logs" / f"{name}.log"


def replica_program(launch: Launch, options: FleetOptions) -> Program:
    """The program of one replica."""
    return Program(
        launch.name,
        launch.command,
        f"{launch.url}/health",
        options.log_of(launch.name),
        launch.environment,
        launch.cpus,
    )


def gateway_program(plan_file: Path, options: FleetOptions) -> Program:
    """The gateway, by the same Python."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    host = f"[{host}]" if ":" in host else host
    command = (
        sys.executable, "-m", "cuvee.cli.main", "serve", str(plan_file),
        "--replicas", str(options.replicas_file), "--host", options.host, "--port", str(options.port),
        "--admin-port", str(-1 if options.admin_port is None else options.admin_port),
        "--drain-timeout", f"{options.drain_s:g}", *(("--keys", str(options.keys)) if options.keys else ()),
    )  # fmt: skip
    health_url = f"http://{host}:{options.port}/health"
    return Program(GATEWAY, command, health_url, options.log_of(GATEWAY), is_well_at_any_status=True)


def run_fleet(
    launches: Sequence[Launch],
    plan_file: Path,
    options: FleetOptions,
    patience: Patience,
    *,
    tell: Callable[[str], None],
    show: Callable[[Sequence[Member]], None],
    is_over: Callable[[], bool],
) -> None:
    """Start all, and keep them running until `is_over`; nothing is left running afterwards.

    Parameters
        tell    Told a line on everything that happens.
        show    Shown what runs, again and again.
    Raises      InputError: something does not start.
    """
    write_atomic(options.replicas_file, replicas_yaml(launches))
    guardian, probes = Guardian(patience.grace_s), Probes()
    programs = [replica_program(launch, options) for launch in launches]
    supervisor = Supervisor(programs, lambda program: Running(program, guardian), probes, patience, tell)
    has_gateway = options.port is None
    try:
        supervisor.begin(time.monotonic())
        while not is_over():
            supervisor.step(time.monotonic())
            if not has_gateway and supervisor.is_ready:
                supervisor.add(gateway_program(plan_file, options), time.monotonic())
                has_gateway = True
            show(supervisor.members)
            time.sleep(STEP_S)
    finally:
        supervisor.end_all(time.monotonic, time.sleep)
        probes.close()
        guardian.close()


def replica_of(member: Member) -> tuple[str, str]:
    """Group and number of a replica by its program's name; the gateway is in no group."""
    group, _, number = member.program.name.rpartition(".")
    return group, number


def address_of(program: Program) -> str:
    """Scheme, host and port of a program."""
    parts = urlsplit(program.health_url)
    return f"{parts.scheme}://{parts.netloc}"
