"""Caution: what a plan is to withstand beyond its own estimates."""

from dataclasses import dataclass

from cuvee.errors import InputError


@dataclass(frozen=True)
class Caution:
    """How far a plan distrusts its inputs; the defaults trust them.

    Attributes
        pessimism    Share of its error band by which each rate is lowered [-]; see `cuvee.profile.pessimism`.
    """

    pessimism: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.pessimism <= 1:
            raise InputError(
                f"pessimism = {self.pessimism!r}",
                expected="a share of the error band in [0, 1]",
                remedy="write --pessimism 0.5 for half of the band, --pessimism alone for all of it",
            )
