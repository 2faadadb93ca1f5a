"""The `cuvee` command: its subcommands, and the one place where errors become messages.

Only what parsing needs is imported here; each command imports what it calls, so that `--help` is instant.
"""

import os
import sys
from typing import Annotated

import typer

from cuvee._version import __version__
from cuvee.cli import catalog, planning, traces
from cuvee.errors import CuveeError

EXIT_NO_PLAN = 1
EXIT_BAD_INPUT = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="cuvee",
    help="Plan the most cost-efficient mix of GPUs for serving large language models.",
    epilog="Exit codes: 0 done, 1 no plan or a failed check, 2 input that cannot be used, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command("plan")(planning.plan)
app.command("compare")(planning.compare)
app.command("explain")(planning.explain)
app.command("check")(planning.check)
app.command("workload")(traces.workload)
app.command("gpus")(catalog.gpus)
app.command("models")(catalog.models)
app.command("offers")(catalog.offers)
app.command("engines")(catalog.engines)
app.command("schema")(planning.schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cuvee {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Plan the most cost-efficient mix of GPUs for serving large language models."""


def run() -> None:
    """Entry point: every error a user can cause ends as a message and exit code 2, never as a traceback."""
    try:
        app()
    except CuveeError as error:
        _fail(f"error: {error}", EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output is gone; there is nobody to tell. Python would complain while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_NO_PLAN)
    except Exception as error:
        if os.environ.get("CUVEE_TRACEBACK"):
            raise
        _fail(
            f"error: this is a bug in cuvee {__version__}: {type(error).__name__}: {error}\n"
            "  to do: run it again with CUVEE_TRACEBACK=1 and report what it prints",
            EXIT_BUG,
        )


def _fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201 the one message a failing command ends with
    sys.exit(code)


if __name__ == "__main__":
    run()
