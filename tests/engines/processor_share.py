"""A share of a processor for a process and its children, as containers have it: a control group of the kernel.

A share stands for the speed of a GPU type: engines that have no more than their shares do not hold each other up, as
long as the shares fit the machine.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
V1 = ROOT / "cpu"
QUOTA_US = 1000
"""Time at once [us], the least that the kernel takes: the finer, the more like a slower processor."""

WEIGHT_V1, WEIGHT_V2 = 262144, 10000
"""The largest weights: what else runs on the machine waits, as far as the shares allow."""


def is_possible() -> bool:
    """Whether this process may make control groups."""
    try:
        with share_of("cuvee-probe", 0.5):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def share_of(name: str, share: float) -> Iterator[Path]:
    """A control group with at most `share` of one processor [-]; its processes have to be gone in the end.

    Raises      OSError: no such controller, or no right to make one.
    """
    base = V1 if V1.is_dir() else ROOT
    group = base / f"{name}-{os.getpid()}"
    group.mkdir()
    try:
        period_us = max(round(QUOTA_US / share), QUOTA_US)
        if base is V1:
            (group / "cpu.cfs_period_us").write_text(str(period_us))
            (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
            (group / "cpu.shares").write_text(str(WEIGHT_V1))
        else:
            (group / "cpu.max").write_text(f"{QUOTA_US} {period_us}")
            (group / "cpu.weight").write_text(str(WEIGHT_V2))
        yield group
    finally:
        group.rmdir()


def join(group: Path) -> None:
    """Move this process into `group`."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
