"""The command line: parse, call, render; no arithmetic."""

import sys


def run() -> None:
    """Entry point; Ctrl-C while the command is still loading ends it with the same line as later."""
    try:
        from cuvee.cli.main import run as run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
