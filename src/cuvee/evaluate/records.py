"""What was found of each setting, as plain records."""

from dataclasses import asdict, dataclass
from typing import Any

from cuvee.evaluate.grid import Setting
from cuvee.evaluate.ways import Family

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
"""Of latencies, as the paper has them."""


@dataclass(frozen=True)
class GroupOutcome:
    """Equal replicas of a way, and how long they took.

    Attributes
        label             E.g. "2x 4x A40 TP4".
        share_of_plan     Time until its last request of the burst ended, over the makespan of the plan [-].
        num_types         Request types it serves at once [-].
        preemptions       Per request of the burst [-].
    """

    label: str
    share_of_plan: float
    num_types: int
    preemptions: float


@dataclass(frozen=True)
class Outcome:
    """A way of choosing a fleet in one setting, as planned and as played.

    Attributes
        planned_req_per_s      Rate by the plan [req/s]; 0 where it cannot serve these requests.
        played_req_per_s       Requests of a burst that were served, over the time until the last of them ended [req/s].
        planned_makespan_s     Of that burst, by the plan [s].
        played_makespan_s      As played [s].
        offered_req_per_s      Rate at which requests arrive, the same for all ways of a setting [req/s].
        e2e_s, ttft_s          Percentiles at that rate [s].
        num_unserved           Requests of the burst and of the arrivals that no replica has the cache for [-]: they are
                               in no latency.
        proven                 Whether the plan is optimal within the gap asked for.
    """

    name: str
    family: Family
    cost_usd_per_hour: float
    gpus: dict[str, int]
    planned_req_per_s: float
    proven: bool
    played_req_per_s: float = 0.0
    planned_makespan_s: float = 0.0
    played_makespan_s: float = 0.0
    offered_req_per_s: float = 0.0
    e2e_s: tuple[float, ...] = ()
    ttft_s: tuple[float, ...] = ()
    groups: tuple[GroupOutcome, ...] = ()
    num_unserved: int = 0

    @property
    def serves(self) -> bool:
        """Whether there is a fleet at all."""
        return self.played_req_per_s > 0

    @property
    def keeps_up(self) -> bool:
        """Whether it serves what arrives: latencies of others grow for as long as the simulation lasts."""
        return 0 < self.offered_req_per_s <= self.played_req_per_s

    @property
    def error(self) -> float:
        """By how much of itself the makespan of the plan is exceeded [-]."""
        return self.played_makespan_s / self.planned_makespan_s - 1


@dataclass(frozen=True)
class SettingResult:
    """A setting and all of its ways, ours first."""

    setting: Setting
    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def ours(self) -> Outcome:
        """Our plan."""
        return self.outcomes[0]

    def named(self, name: str) -> Outcome | None:
        """The way of that name; None where it is not there or serves nothing."""
        return next((each for each in self.outcomes if each.name == name and each.serves), None)

    def of_family(self, family: Family) -> list[Outcome]:
        """Ways of a family that serve anything."""
        return [each for each in self.outcomes if each.family is family and each.serves]

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @staticmethod
    def of(record: dict[str, Any]) -> "SettingResult":
        """Of the same; raises KeyError, TypeError or ValueError where it is not such a record."""
        outcomes = tuple(
            Outcome(
                **{
                    **each,
                    "family": Family(each["family"]),
                    "e2e_s": tuple(each["e2e_s"]),
                    "ttft_s": tuple(each["ttft_s"]),
                    "groups": tuple(GroupOutcome(**group) for group in each["groups"]),
                }
            )
            for each in record["outcomes"]
        )
        return SettingResult(Setting(**record["setting"]), outcomes, float(record["seconds"]))
