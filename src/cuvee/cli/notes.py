"""Notes on stderr: what a scenario asks that a command does not do, and which one does."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cuvee.cli.terminal import Progress
    from cuvee.plan.program.preparation import PreparedProblem
    from cuvee.plan.scenario.scenario import Scenario

DAY = "note: time_of_day is left aside, as this is for one rate; for the day: cuvee periods"
DRAWS = "note: caution.stress_draws is left aside; what draws do to one plan is told by: cuvee plan --stress"


def tell_left_out(prepared: "PreparedProblem", progress: "Progress") -> None:
    """Say which rows of a table of rates were left out on reading, and which speak of nothing that is asked."""
    from cuvee.profile.measured_use import notes_on_use
    from cuvee.profile.providers import measured_table

    table = measured_table(prepared.provider)
    if table is not None:
        gpus = {offer.gpu for offer in prepared.problem.offers.offers}
        for note in notes_on_use(table, prepared.candidates.tables, gpus):
            progress.keep(f"note: {note}")


def tell_unused(scenario: "Scenario", *, day: bool = False, draws: bool = False) -> None:
    """Say what of the scenario the command leaves aside.

    Parameters
        day      Whether it plans by time of day.
        draws    Whether it draws errors and losses.
    """
    if "time_of_day" in scenario.model_fields_set and not day:
        typer.echo(DAY, err=True)
    if scenario.caution.stress_draws and not draws:
        typer.echo(f"{DRAWS} {scenario.caution.stress_draws}", err=True)
