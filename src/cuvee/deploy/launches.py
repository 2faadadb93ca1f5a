"""From plan to processes: the command, environment, port, GPUs and processors of every replica."""

import shlex
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from cuvee.catalog.gpus import load_gpu_types
from cuvee.deploy.devices import assigned_devices
from cuvee.deploy.engines_file import Recipes
from cuvee.deploy.recipe import Recipe
from cuvee.errors import InputError
from cuvee.plain_yaml import dump_yaml
from cuvee.plan.outcome.result import Group, Plan
from cuvee.profile.phases import Phase
from cuvee.profile.replica import split_layers

LAYERS_VARIABLE = "VLLM_PP_LAYER_PARTITION"
"""How vLLM is told layers per stage where they are uneven."""


@dataclass(frozen=True)
class Launch:
    """One process to start.

    Attributes
        name           E.g. "g1.0".
        url            Where it will answer.
        command        Its words.
        environment    Variables beside those of the launcher.
        cpus           Processors it may run on; () for all.
        max_concurrency  As of `Recipe`.
    """

    name: str
    group: str
    url: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    cpus: tuple[int, ...] = ()
    max_concurrency: int | None = None

    def shown(self) -> str:
        """The command as one would type it."""
        variables = [f"{name}={shlex.quote(text)}" for name, text in self.environment.items()]
        pinned = ["taskset", "-c", ",".join(map(str, self.cpus))] if self.cpus else []
        return " ".join([*variables, *pinned, *map(shlex.quote, self.command)])


@dataclass(frozen=True)
class Place:
    """Where replicas listen, and under which name their models are asked for.

    Attributes
        ports     One for each replica, in the order of the plan's groups.
        models    Folder or name to load by model of the plan; the plan's own name where none is given.
    """

    host: str
    ports: Sequence[int]
    models: Mapping[str, str]


def launches_of(plan: Plan, recipes: Recipes, place: Place, devices: Mapping[int, str]) -> tuple[Launch, ...]:
    """Every replica of `plan`, copies of a group side by side.

    Parameters
        devices    Name of each GPU of the machine by its number.
    Raises         InputError: a plan without a fleet, a replica that no single machine runs, too few GPUs, a template
                   that cannot be filled.
    """
    if not plan.has_plan:
        raise InputError(
            f"a plan without a fleet ({plan.termination})", expected="one that rents something", remedy="plan again"
        )
    for group in plan.groups:
        _refuse_apart(group)
    chosen = {group.id: recipes.of(group) for group in plan.groups}
    on_gpus = [group for group in plan.groups if chosen[group.id].uses_gpus]
    for group in on_gpus:
        _refuse_mixed(group)
    taken = assigned_devices(on_gpus, devices) if on_gpus else {}
    launches: list[Launch] = []
    for group in plan.groups:
        for copy in range(group.copies):
            port = place.ports[len(launches)]
            launches.append(_launch(plan, group, copy, chosen[group.id], place, port, taken.get((group.id, copy), ())))
    return tuple(launches)


def replicas_yaml(launches: Sequence[Launch]) -> str:
    """The replicas file that the gateway reads."""
    return dump_yaml({
        "version": 1,
        "replicas": [
            {"url": each.url, "group": each.group, "name": each.name}
            | ({"max_concurrency": each.max_concurrency} if each.max_concurrency else {})
            for each in launches
        ],
    })  # fmt: skip


def free_ports(host: str, first: int, count: int, claims: ExitStack | None = None) -> tuple[int, ...]:
    """The first `count` ports from `first` on that nobody listens on.

    Parameters
        claims    Where given, ports are also kept from others that ask so until it is closed: engines listen late.
    Raises        InputError: there are not so many.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found: list[int] = []
    for port in range(first, 65_536):
        if len(found) == count:
            break
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                continue
            except OSError as error:
                if error.errno is not None and not _is_taken(error):
                    raise InputError(
                        f"--host {host}: {error.strerror}", expected="an address of this machine",
                        remedy="e.g. --host 127.0.0.1",
                    ) from None  # fmt: skip
                continue
        if claims is None or _claimed(family, host, port, claims):
            found.append(port)
    if len(found) < count:
        raise InputError(
            f"{len(found)} free ports from {first} on", expected=f"{count}", remedy="begin lower: --replica-port 8100"
        )
    return tuple(found)


def _claimed(family: socket.AddressFamily, host: str, port: int, claims: ExitStack) -> bool:
    """Whether a port could be claimed: by the UDP port of its number, beside which TCP can be listened on."""
    claim = socket.socket(family, socket.SOCK_DGRAM)
    try:
        claim.bind((host, port))
    except OSError:
        claim.close()
        return False
    claims.enter_context(claim)
    return True


def _is_taken(error: OSError) -> bool:
    import errno

    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def _launch(
    plan: Plan, group: Group, copy: int, recipe: Recipe, place: Place, port: int, devices: tuple[int, ...]
) -> Launch:
    where = f"group {group.id}"
    values = _values(plan, group, recipe, place, port) | {"devices": ",".join(map(str, devices)), "replica": str(copy)}
    environment = recipe.environment_of(values, where)
    if devices:
        # CUDA numbers GPUs by speed unless told to by bus, as nvidia-smi does
        environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": values["devices"], **environment}
    layers = tuple(stage.layers for stage in group.config.stages)
    if layers != split_layers(sum(layers), len(layers)):
        environment = {LAYERS_VARIABLE: ",".join(map(str, layers)), **environment}
    cpus = recipe.cpus[copy % len(recipe.cpus)] if recipe.cpus else ()
    return Launch(
        f"{group.id}.{copy}", group.id, f"http://{_bracketed(place.host)}:{port}", recipe.filled(values, where),
        environment, cpus, recipe.max_concurrency,
    )  # fmt: skip


def _values(plan: Plan, group: Group, recipe: Recipe, place: Place, port: int) -> dict[str, str]:
    """What stands for the placeholders, but for those of single replicas."""
    engine = plan.inputs.engine
    gpus = {**load_gpu_types(), **{gpu.name: gpu for gpu in plan.inputs.gpus}}
    limits = [engine.limits_on(gpus[name]) for name in group.config.gpu_counts]
    max_num_seqs = min(*(seqs for seqs, _ in limits), recipe.most_sequences)
    return {
        "model": place.models.get(group.model, group.model),
        "served_name": group.model,
        "host": place.host,
        "port": str(port),
        "tensor_parallel_size": str(group.config.stages[0].tensor_parallel_size),
        "pipeline_parallel_size": str(len(group.config.stages)),
        "max_num_seqs": str(max_num_seqs),
        "max_num_tokens": str(min(tokens for _, tokens in limits)),
        "memory_utilization": f"{engine.memory_utilization * engine.free_memory_share:g}",
        "kv_cache_dtype": "auto" if group.config.kv_precision in ("bf16", "fp16") else group.config.kv_precision,
        "group": group.id,
    }


def _refuse_apart(group: Group) -> None:
    if group.phase is not Phase.BOTH:
        raise InputError(
            f"group {group.id} does {group.phase} alone", expected="replicas that do all of a request",
            remedy="plan again with --no-disaggregate",
        )  # fmt: skip
    if group.config.spans_machines:
        raise InputError(
            f"group {group.id} ({group.config.gpu_label}) spans machines",
            expected="replicas inside one machine: this launcher starts processes on its own alone",
            remedy="plan again with --set search.max_pipeline_stages=1",
        )


def _refuse_mixed(group: Group) -> None:
    sizes = {stage.tensor_parallel_size for stage in group.config.stages}
    if len(sizes) > 1:
        raise InputError(
            f"group {group.id}: {group.config.parallel_label}",
            expected="the same tensor parallelism in all stages, which is what engines start",
            remedy="plan again with --set search.max_mixed_stages=1",
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
