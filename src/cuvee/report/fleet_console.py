"""The fleet that runs, as a table that is drawn again and again."""

import shlex
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from cuvee.deploy.fleet import address_of, replica_of
from cuvee.deploy.launches import Launch
from cuvee.deploy.supervisor import Member, State
from cuvee.deploy.traffic import Traffic
from cuvee.plan.outcome.result import Plan
from cuvee.report.style import literal

STYLES = {State.READY: "green", State.STARTING: "yellow", State.ENDED: "dim"}


def planned_shares(plan: Plan) -> dict[str, float]:
    """Share of all requests by group id, as the plan has it [-]."""
    served = [row.demand_req_per_s * plan.load_factor_of(row) for row in plan.assignment]
    total = sum(served) or 1.0
    return {
        group.id: sum(rate * row.share_of(group) for rate, row in zip(served, plan.assignment, strict=True)) / total
        for group in plan.groups
    }


def fleet_table(plan: Plan, members: Sequence[Member], traffic: Mapping[str, Traffic], *, now_s: float) -> Table:
    """The table; times are those of the clock that `members` have [s]."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("replica", "on", "state", "for", "restarts", "req/s", "share", "planned", "at"):
        table.add_column(name, justify="right" if name in ("for", "restarts", "req/s", "share", "planned") else "left")
    planned, labels = planned_shares(plan), {group.id: group.config.gpu_label for group in plan.groups}
    last = ""
    for member in members:
        group, _ = replica_of(member)
        is_first, last = group != last, group
        of = traffic.get(group) if is_first else None
        share = f"{of.share:.1%}" if of is not None and of.share is not None else ""
        state = Text(member.state, style=STYLES.get(member.state, "red"))
        table.add_row(
            literal(member.program.name), labels.get(group, ""), state,
            _lasting(member, now_s), str(member.restarts or ""), f"{of.rate_req_per_s:.1f}" if of else "", share,
            f"{planned[group]:.1%}" if group in planned and is_first else "", address_of(member.program),
        )  # fmt: skip
    return table


def commands_text(launches: Sequence[Launch], gateway: Sequence[str] | None) -> str:
    """The commands that would be run, as a shell would take them."""
    lines = [line for launch in launches for line in (f"# {launch.name}: {launch.url}", launch.shown())]
    if gateway is not None:
        lines += ["# gateway", shlex.join(gateway)]
    return "\n".join(lines)


def _lasting(member: Member, now_s: float) -> str:
    since = {State.READY: member.ready_s, State.STARTING: member.begun_s, State.SILENT: member.answered_s}
    began = since.get(member.state)
    return "" if began is None else f"{now_s - began:.0f} s"
