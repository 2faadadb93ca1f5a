"""Offers: what can be rented, where, in which machine shape, at what price and in what number."""

from dataclasses import dataclass

from cuvee.errors import InputError

UNKNOWN_STOCK_CAP = 16
"""GPUs assumed rentable where a seller states no number [GPUs per offer]; a cap, not a forecast."""


@dataclass(frozen=True)
class Offer:
    """One rentable machine shape at one seller, place and price.

    Attributes
        gpu                 Canonical GPU type name.
        seller              Who rents it out.
        region, zone        Where it stands; replicas never span two regions. "any" where not stated.
        num_gpus            GPUs of one rental unit [-]; the price buys all of them.
        machine_gpus        Most GPUs one machine of this offer can hold [-]: tensor parallelism stays
                            within it. Above `num_gpus` where units can be stacked on one host.
        spot                Whether the seller may take it back.
        price_usd_per_hour  Price of one rental unit [$/h].
        stock               Rental units available now [-]; None where the seller does not say.
        as_of               Date of price and stock.
        source              Where price and stock were read.
    """

    gpu: str
    seller: str
    price_usd_per_hour: float
    region: str = "any"
    zone: str = "any"
    num_gpus: int = 1
    machine_gpus: int = 0
    spot: bool = False
    stock: int | None = None
    instance: str = ""
    as_of: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.machine_gpus == 0:
            object.__setattr__(self, "machine_gpus", self.num_gpus)
        if not self.price_usd_per_hour > 0:
            raise InputError(
                f"offer {self.label}: price_usd_per_hour = {self.price_usd_per_hour!r}",
                expected="a price above 0 $/h",
            )
        if self.num_gpus < 1 or self.machine_gpus < self.num_gpus:
            raise InputError(
                f"offer {self.label}: num_gpus = {self.num_gpus!r}, machine_gpus = {self.machine_gpus!r}",
                expected="1 <= num_gpus <= machine_gpus",
            )
        if self.stock is not None and self.stock < 0:
            raise InputError(
                f"offer {self.label}: stock = {self.stock!r}",
                expected="a whole number of units, 0 or more, or none stated",
            )

    @property
    def label(self) -> str:
        """Short name for tables and messages."""
        place = "" if self.region == "any" else f" {self.region}"
        return f"{self.seller}{place} {self.gpu}:{self.num_gpus}{' spot' if self.spot else ''}"

    @property
    def price_usd_per_gpu_hour(self) -> float:
        """Price of one GPU of the unit [$/h]."""
        return self.price_usd_per_hour / self.num_gpus

    @property
    def max_units(self) -> int:
        """Rental units the planner may use: the stock, or a cap where it is unknown [-]."""
        return self.stock if self.stock is not None else max(1, UNKNOWN_STOCK_CAP // self.num_gpus)


@dataclass(frozen=True)
class OfferSet:
    """Offers read from one place; prices always say their date.

    Attributes
        name     "paper-avail-1", "market-2026-09", or the file.
        offers   At least one; those with stock 0 are kept, so that a plan can say what is missing.
        as_of    Date, or range of dates, of the prices.
        source   Where they come from.
        notes    What a reader must know: caps, rows left out and why.
        unlimited    Whether stock is no matter: what the offers state is more than anyone could use.
    """

    name: str
    offers: tuple[Offer, ...]
    as_of: str
    source: str
    notes: tuple[str, ...] = ()
    unlimited: bool = False

    def __post_init__(self) -> None:
        if not self.offers:
            raise InputError(f"offer set {self.name!r} has no offers", expected="at least one offer")
