"""What runs now: groups of replicas on the offers of a problem, and what moving away from them takes."""

import math
from dataclasses import dataclass

from cuvee.errors import InputError
from cuvee.profile.replica import ReplicaConfig, Stage

MOST_COPIES = 10_000
"""Replicas of one group that are believed [-]."""


def require_nothing_runs(fleet: "CurrentFleet | None", what: str) -> None:
    """Raise InputError where something runs now, which `what` does not reckon with."""
    if fleet is not None:
        raise InputError(
            f"{what} from a fleet that runs now", expected="a question from nothing", remedy="leave out --from"
        )


@dataclass(frozen=True)
class MoveOptions:
    """What moves take, and how long the plan after them is to stand.

    Attributes
        horizon_h               Hours over which the cost of the moves is spread [h].
        startup_s               From renting a replica to its first request [s]; None: estimated from its weights.
        start_fee_usd           Of each start of a replica, whatever its size [$].
        drain_s                 Until a replica that gets no more requests has answered those it has [s]. An assumption:
                                an answer of 2,000 tokens at 17 tokens a second.
        overlap_usd_per_hour    Most money above the budget, and above caps on money, while old and new replicas run
                                side by side [$/h]; None: no limit, the peak is reported.
    """

    horizon_h: float = 6.0
    startup_s: float | None = None
    start_fee_usd: float = 0.0
    drain_s: float = 120.0
    overlap_usd_per_hour: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.horizon_h) and self.horizon_h > 0):
            raise InputError(
                f"moves.horizon_h = {self.horizon_h!r}",
                expected="finite hours above 0",
                remedy="say how long the new plan is to stand, e.g. --horizon 6",
            )
        for label in ("startup_s", "start_fee_usd", "drain_s", "overlap_usd_per_hour"):
            value = getattr(self, label)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"moves.{label} = {value!r}", expected="a finite number, 0 or more")


@dataclass(frozen=True)
class RunningGroup:
    """Equal replicas that run now.

    Attributes
        copies            Replicas [-].
        gpus_per_offer    (index of the offer in the problem, GPUs of one replica there), ascending by index.
        shares            (workload type, share of its requests that the group gets now [-]); empty where not known.
        keeps_to          Names of the workload types it is kept for; none: any.
    """

    model: str
    stages: tuple[Stage, ...]
    precision: str
    kv_precision: str
    spans_machines: bool
    copies: int
    gpus_per_offer: tuple[tuple[int, int], ...]
    shares: tuple[tuple[str, float], ...] = ()
    keeps_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.copies <= MOST_COPIES:
            raise InputError(
                f"{self.copies} replicas of {self.model} run now", expected=f"a whole number from 1 to {MOST_COPIES:,}"
            )
        taken, needed = sum(count for _, count in self.gpus_per_offer), self.config.num_gpus
        if taken != needed or not 1 <= len(self.gpus_per_offer) <= 2:
            raise InputError(
                f"a replica of {self.model} on {needed} GPUs that takes {taken} from {len(self.gpus_per_offer)} offers",
                expected="all of its GPUs from one offer or two",
            )

    @property
    def config(self) -> ReplicaConfig:
        """The replica configuration of one copy."""
        return ReplicaConfig(
            self.model, self.stages, self.precision, self.kv_precision, self.spans_machines, self.keeps_to
        )


@dataclass(frozen=True)
class CurrentFleet:
    """What runs now.

    Attributes
        groups    At least one; no two with the same configuration on the same offers.
        notes     Assumptions that were made where it was read.
    """

    groups: tuple[RunningGroup, ...]
    moves: MoveOptions = MoveOptions()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        standing = [(group.config, group.gpus_per_offer) for group in self.groups]
        if not standing or len(set(standing)) < len(standing):
            raise InputError(
                f"a current fleet of {len(standing)} groups, {len(set(standing))} of them different",
                expected="at least one group, each once",
                remedy="leave the current fleet out where nothing runs; count equal replicas together",
            )
