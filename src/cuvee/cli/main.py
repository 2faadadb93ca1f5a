"""The `cuvee` command: its subcommands, and the one place where errors become messages.

Only what parsing needs is imported here; each command imports what it calls, so that `--help` is instant.
"""

import io
import os
import sys
from typing import Annotated, Any, NoReturn, cast

import typer

from cuvee._version import __version__
from cuvee.cli import (
    benchmark,
    calibrating,
    catalog,
    deploying,
    evaluating,
    explaining,
    frontier,
    importing,
    kernels,
    options,
    periods,
    planning,
    profiling,
    scoring,
    serving,
    simulating,
    traces,
)
from cuvee.cli.terminal import EXIT_INTERRUPTED, InterruptedEarlyError, printable, wrapped
from cuvee.errors import CuveeError

EXIT_NO_PLAN = 1
EXIT_BAD_INPUT = 2
EXIT_BUG = 70
EXIT_BROKEN_PIPE = 141

# Typer brings its own copy of click or uses the installed one, depending on its version.
_UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="cuvee",
    help="Plan the most cost-efficient mix of GPUs for serving large language models.",
    epilog="Exit codes: 0 done, 1 no plan or a failed check, 2 input that cannot be used, 130 interrupted, "
    "141 whoever reads the output stopped reading.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command("plan")(planning.plan)
app.command("compare")(planning.compare)
app.command("explain")(explaining.explain)
app.command("frontier")(frontier.frontier)
app.command("periods")(periods.periods)
app.command("check")(planning.check)
app.command("up")(deploying.up)
app.command("simulate")(simulating.simulate)
app.command("serve")(serving.serve)
app.command("api-key")(serving.api_key)
app.command("benchmark")(benchmark.benchmark)
app.command("evaluate")(evaluating.evaluate)
app.command("workload")(traces.workload)
app.command("profile")(profiling.profile)
app.command("import")(importing.import_)
app.command("import-kernels")(kernels.import_kernels)
app.command("export-profile")(importing.export_profile)
app.command("score")(scoring.score)
app.command("score-run")(scoring.score_run)
app.command("calibrate")(calibrating.calibrate)
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
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Plan the most cost-efficient mix of GPUs for serving large language models."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> None:
    """Entry point: every error a user can cause ends as a message and exit code 2, never as a traceback."""
    _write_what_it_can()
    try:
        code = app(options.spelled_out(sys.argv[1:]), standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
        if code == EXIT_INTERRUPTED:
            _fail("interrupted", EXIT_INTERRUPTED)
        sys.exit(code)
    except CuveeError as error:
        _fail(f"error: {error}", EXIT_BAD_INPUT)
    except _UsageError as error:
        _fail(f"error: {_usage_message(error)}", EXIT_BAD_INPUT)
    except (InterruptedEarlyError, KeyboardInterrupt, typer.Abort) as error:
        early = " before there was a result: nothing is shown or written"
        _fail(f"interrupted{early if isinstance(error, InterruptedEarlyError) else ''}", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _end_without_reader()
    except SystemExit as ending:
        # Both rich and typer make it an exit with code 1, which is that of no plan.
        if isinstance(ending.__context__, BrokenPipeError):
            _end_without_reader()
        raise
    except OSError as error:
        if error.filename is None:
            _drop_output()
        _fail(f"error: {_system_message(error)}", EXIT_BAD_INPUT)
    except Exception as error:
        if os.environ.get("CUVEE_TRACEBACK"):
            raise
        _fail(
            f"error: this is a bug in cuvee {__version__}: {type(error).__name__}: {error}\n"
            "  to do: run it again with CUVEE_TRACEBACK=1 and report what it prints",
            EXIT_BUG,
        )


def _write_what_it_can() -> None:
    """Print names that the terminal's encoding lacks with "?" in their place, rather than fail on them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _end_without_reader() -> NoReturn:
    """The reader of our output is gone; there is nobody to tell."""
    _drop_output()
    sys.exit(EXIT_BROKEN_PIPE)


def _drop_output() -> None:
    """Send what is still in the buffer nowhere: Python would complain about it on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_message(error: Exception) -> str:
    """What typer says about an option, in our three parts."""
    usage = cast(Any, error)
    command = usage.ctx.command_path if usage.ctx else "cuvee"
    expected = " ".join(usage.ctx.get_usage().split()).removeprefix("Usage: ") if usage.ctx else "cuvee COMMAND"
    return f"{usage.format_message()}\n  expected: {expected}\n  to do: see {command} --help"


def _system_message(error: OSError) -> str:
    """What the system refused: a file by name, or else the stream we write to."""
    reason = (error.strerror or str(error)).lower()
    if error.filename is not None:
        return f"{error.filename}: {reason}\n  expected: a file that can be used\n  to do: check the path"
    return (
        f"the output cannot be written ({reason})\n"
        "  expected: a file or terminal that takes it\n  to do: free its disk, or write elsewhere"
    )


def _fail(message: str, code: int) -> NoReturn:
    print(wrapped(printable(message)), file=sys.stderr)  # noqa: T201 the one message a failing command ends with
    sys.exit(code)


if __name__ == "__main__":
    run()
