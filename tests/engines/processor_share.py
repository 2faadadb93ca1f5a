"""A share of a processor for a process and its children, as containers have it: a control group of the kernel.

A share stands for the speed of a GPU type: engines that have no more than their shares do not hold each other up, as
long as the shares fit the machine.
"""

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
V1 = ROOT / "cpu"
QUOTA_US = 4000
"""Time at once [us]. Less is more like a slower processor, but what others hold up within a period is lost."""

WEIGHT_V1, WEIGHT_V2 = 262144, 10000
"""The largest weights: what else runs on the machine waits, as far as the shares allow."""


GROUPS = "cuvee-engine"


def take_share(share: float) -> None:
    """Let this process and its children have at most `share` of one processor [-].

    Raises      OSError: no such controller, or no right to make a control group.
    """
    base = V1 if V1.is_dir() else ROOT
    clear_away()
    group = base / f"{GROUPS}-{os.getpid()}"
    group.mkdir(exist_ok=True)
    period_us = max(round(QUOTA_US / share), QUOTA_US)
    if base is V1:
        (group / "cpu.cfs_period_us").write_text(str(period_us))
        (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        (group / "cpu.shares").write_text(str(WEIGHT_V1))
    else:
        (group / "cpu.max").write_text(f"{QUOTA_US} {period_us}")
        (group / "cpu.weight").write_text(str(WEIGHT_V2))
    (group / "cgroup.procs").write_text(str(os.getpid()))


def clear_away() -> None:
    """Remove the groups of processes that have ended."""
    for base in (V1, ROOT):
        for group in base.glob(f"{GROUPS}-*"):
            with contextlib.suppress(OSError):  # somebody is in it
                group.rmdir()
