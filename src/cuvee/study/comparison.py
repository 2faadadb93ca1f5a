"""Whether one replica is really cheaper than another: the factor between them beside the errors of both rates.

ln of a rate's error is normal with sigma = ln(1 + band) / 1.2816, so that four errors of five are within the band. Of
two replicas on one GPU type the share `SHARED_VARIANCE` of it is common to both and does not move the factor. A lead
inside the band of the factor, which again holds four cases of five, is a tie.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from cuvee.plan.evaluation.draws import SHARED_VARIANCE, SIGMAS_PER_BAND
from cuvee.study.entry import Entry


@dataclass(frozen=True)
class Comparison:
    """A factor between two figures.

    Attributes
        factor    First over second [-].
        low       Lower end of its band [-].
        high      Upper end [-].
        chance    Chance that the first is really ahead [-].
    """

    factor: float
    low: float
    high: float
    chance: float

    @property
    def is_tie(self) -> bool:
        """Whether the band has room for either to be ahead."""
        return self.low <= 1 <= self.high

    @classmethod
    def of(cls, factor: float, deviation: float) -> "Comparison":
        """A factor whose logarithm errs with a standard deviation [-]; 0 where the factor is exact."""
        reach = math.exp(SIGMAS_PER_BAND * deviation)
        if deviation > 0:
            chance = NormalDist().cdf(math.log(factor) / deviation)
        else:
            chance = 0.5 if factor == 1 else float(factor > 1)
        return cls(factor, factor / reach, factor * reach, chance)


def compare(first: Entry, second: Entry, *, per_gpu: bool = False) -> Comparison:
    """Requests per dollar of `first` over those of `second`.

    Parameters
        per_gpu    Requests per GPU instead: what a configuration does, whatever larger machines cost.
    """
    sigma, other = (math.log1p(each.band) / SIGMAS_PER_BAND for each in (first, second))
    variance = sigma**2 + other**2
    if first.gpu == second.gpu:
        shared = SHARED_VARIANCE * (sigma - other) ** 2
        variance = shared + (1 - SHARED_VARIANCE) * (0.0 if first.config == second.config else variance)
    factor = first.rate_per_gpu / second.rate_per_gpu if per_gpu else first.efficiency / second.efficiency
    return Comparison.of(factor, math.sqrt(variance))
