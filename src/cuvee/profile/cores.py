"""Array work on all cores: numpy lets go of the interpreter while it computes."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVarTuple

Parts = TypeVarTuple("Parts")

FEW = 4
"""Calls up to which a second core is not worth waking [-]."""

MOST_CORES = 8
"""Cores used at most [-]: what the mask of processors allows may be more than a container's share of them."""


def on_all_cores(work: Callable[[*Parts], None], calls: Sequence[tuple[*Parts]]) -> None:
    """Call `work` with each of `calls`, which must not touch each other's results; in any order.

    Raises      What a failing call raises; most calls that have not begun then never do.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores == 1 or len(calls) <= FEW:
        for call in calls:
            work(*call)
        return
    with ThreadPoolExecutor(min(cores, MOST_CORES)) as pool:
        try:
            running = [pool.submit(work, *call) for call in calls]
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for each in running:
        if not each.cancelled():
            each.result()
