"""The smallest simulation there is, to have the kernel compiled before it is timed."""

import numpy as np

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import EVENT, Records
from cuvee.simulate.packing import packed_engines, packed_requests, packed_split
from cuvee.simulate.play import Engines, Split
from cuvee.simulate.policy import Policy


def smallest() -> tuple[Records, Engines, Split, Records, int, bool]:
    """What `cuvee.simulate.play.play` takes: one request on one replica."""
    one, zero = np.ones(1), np.zeros(1, np.int64)
    law = StepLaw(np.full((1, 17), 1e-3), one * 0, one * 0, one * 0, one * 0, one * 0, 0.0, 0.0, 0.0, 1.0, 1.0, 4, 16,
                  64, False, 1e9)  # fmt: skip
    requests = packed_requests(one * 0.0, zero + 4, zero + 4)
    engines = packed_engines([law], zero, zero)
    split = packed_split(one[None], one[None], zero, np.ones((1, 1), bool))
    return requests, engines, split, np.zeros(0, EVENT).view(np.recarray), int(Policy.PLAN), True
