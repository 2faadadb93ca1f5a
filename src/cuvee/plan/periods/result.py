"""The plan of a day: what is held always, what is added when, and what that saves."""

from dataclasses import dataclass
from itertools import pairwise

from cuvee._version import __version__
from cuvee.plan.outcome.result import Group, Plan, RentedGpus
from cuvee.plan.question.startup import StartUp
from cuvee.plan.solver.program import Termination
from cuvee.profile.replica import ReplicaConfig, Stage
from cuvee.workload.day import Period

SCHEMA_VERSION = 1
"""Of the file; raised when a field changes its meaning or goes."""


@dataclass(frozen=True)
class DayDemand:
    """The typical day that was planned for.

    Attributes
        name              The series'.
        statistic         Over its days, step by step: mean, max, p90, ...
        num_days          Days the series shows [-].
        step_s            Length of a step [s].
        rate_req_per_s    Rate of each step from midnight on [req/s].
        notes             What was assumed, one a line.
    """

    name: str
    statistic: str
    num_days: int
    step_s: float
    rate_req_per_s: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedPeriod:
    """A period of the day and its fleet: a plan of least cost that serves the period's rate.

    The bound of the plan is that of the period alone; where the whole day is cheaper so, its fleet costs more.
    """

    period: Period
    plan: Plan


@dataclass(frozen=True)
class DayReplica:
    """A replica that is rented at some time of the day.

    Attributes
        id                    "r1", "r2", ...: held always first, then by falling cost.
        rented                Offers that one replica's GPUs come from.
        price_usd_per_hour    o_c: price of one [$/h].
        startup_s             tau: from renting it to its first request [s].
        start_usd             sigma: what a start costs [$].
        copies                y_c^p: how many in each period [-].
        groups                Its group in the plan of each period; "" where there is none.
        keeps_to              Names of the workload types it is kept for; none: any.
    """

    id: str
    model: str
    stages: tuple[Stage, ...]
    precision: str
    kv_precision: str
    spans_machines: bool
    rented: tuple[RentedGpus, ...]
    price_usd_per_hour: float
    startup_s: float
    start_usd: float
    copies: tuple[int, ...]
    groups: tuple[str, ...]
    keeps_to: tuple[str, ...] = ()

    @property
    def always(self) -> int:
        """y_c^0: copies held all day [-]."""
        return min(self.copies)

    @property
    def changes(self) -> tuple[int, ...]:
        """Copies more or fewer than in the period before, the last of the day before the first [-]."""
        return tuple(now - before for before, now in pairwise((self.copies[-1], *self.copies)))

    @property
    def config(self) -> ReplicaConfig:
        """Its configuration."""
        return ReplicaConfig(
            self.model, self.stages, self.precision, self.kv_precision, self.spans_machines, self.keeps_to
        )

    def is_of(self, group: Group) -> bool:
        """Whether `group` is of this replica."""
        return self.config == group.config and self.rented == group.rented


@dataclass(frozen=True)
class Change:
    """One line of the timetable.

    Attributes
        at_s       When it is done, after midnight [s]: the begin of a period.
        begin_s    When to start so as to be ready, after midnight [s]; `at_s` for replicas that are drained.
        replica    Which, by its id.
        copies     How many: above 0 to add, below 0 to drain [-].
    """

    at_s: float
    begin_s: float
    replica: str
    copies: int


@dataclass(frozen=True)
class PeriodPlan:
    """Result of `plan_periods`.

    Attributes
        termination              What the figures may claim for these periods and rates.
        cost_usd_per_day         Rent and starts of a day that repeats [$/day].
        rent_usd_per_day         Of the fleets, hour by hour [$/day].
        start_usd_per_day        Of the starts [$/day].
        constant_usd_per_day     Of `constant` for 24 hours [$/day].
        saving                   1 - cost / constant [-].
        bound_usd_per_day        Proven: no fleet that serves these periods costs less; None where nothing is proven.
        gap                      (cost - bound) / cost [-].
        elastic_usd_per_day      The bounds of the periods alone, that is each at its best and starts for free [$/day];
                                 None where some period was not searched.
        constant                 The cheapest fleet that serves the highest period all day.
        periods                  By their start.
        replicas                 What is rented, and how many when.
        timetable                What changes when; empty where the fleet never changes.
    """

    termination: Termination
    cost_usd_per_day: float
    rent_usd_per_day: float
    start_usd_per_day: float
    constant_usd_per_day: float
    saving: float
    bound_usd_per_day: float | None
    gap: float | None
    elastic_usd_per_day: float | None
    demand: DayDemand
    start_up: StartUp
    replicas: tuple[DayReplica, ...]
    timetable: tuple[Change, ...]
    periods: tuple[PlannedPeriod, ...]
    constant: Plan
    solve_seconds: float
    schema_version: int = SCHEMA_VERSION
    cuvee_version: str = __version__

    @property
    def has_plan(self) -> bool:
        """Whether there is a fleet to rent."""
        return self.constant.has_plan

    def summary(self) -> str:
        """One line: what it costs against the constant plan, and how well that is proven."""
        if not self.has_plan:
            return f"{self.termination}: {self.constant.message}"
        return (
            f"{self.termination}: {self.cost_usd_per_day:.2f} $/day in {len(self.periods)} periods, "
            f"{self.constant_usd_per_day:.2f} held constant ({-self.saving:+.1%}), gap {self.gap or 0.0:.1e}"
        )
