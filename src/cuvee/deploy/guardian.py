"""A process that outlives its launcher for a moment, and ends what that has left running.

The launcher tells it each process group that begins (`+123`) and ends (`-123`), a line each. When the launcher is gone,
however it went, the pipe between them closes: the groups that are left get SIGTERM, and SIGKILL after a while.

Run with: python -m cuvee.deploy.guardian SECONDS
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

STEP_S = 0.1


class Guardian:
    """The launcher's end of the pipe.

    Parameters
        grace_s    Time between SIGTERM and SIGKILL [s].
    """

    def __init__(self, grace_s: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cuvee.deploy.guardian", f"{grace_s:g}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def watch(self, group: int) -> None:
        """End process group `group` when the launcher is gone."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Leave process group `group` alone: nothing of it is left."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guardian, and what it still watches."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # killed by somebody: the launcher goes on without
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def end_groups(groups: set[int], grace_s: float) -> None:
    """SIGTERM to all process groups, SIGKILL to those that are left after `grace_s` [s]."""
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    until = time.monotonic() + grace_s
    while left and time.monotonic() < until:
        time.sleep(STEP_S)
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Whether there is such a process group, which then gets the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Watch until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end_groups(groups, float(sys.argv[1]))


if __name__ == "__main__":
    main()
