"""Which of several listings of a GPU type a study takes for its price, and of when the prices are that it used.

A snapshot of the market has listings of several years side by side. The lowest of all would mostly be an old one, so
only those of the newest year count that any machine with room for the replica is listed in; where a listing bears no
date, it counts as well. Among these the lowest price per GPU is taken.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cuvee.catalog.offer import Offer, OfferSet
from cuvee.plan.candidates.placement import host_gpus
from cuvee.study.entry import Entry

DATE = re.compile(r"20\d\d(?:-(?:0[1-9]|1[0-2])(?:-\d\d)?)?(?!\d)", re.ASCII)
"""A year, a month or a day; of "2025-26" and "2025-H2" it is the year that they begin in."""


@dataclass(frozen=True)
class UsedPrice:
    """A listing that figures of a study rest on.

    Attributes
        gpu      Canonical name of the GPU type.
        sizes    GPUs of the replicas that have their price from it [-], ascending.
    """

    gpu: str
    offer: Offer
    sizes: tuple[int, ...]


def listing_date(offer: Offer) -> str:
    """Day, month or year that a listing is of at least; empty where it says none."""
    found = DATE.search(offer.as_of)
    return found[0] if found else ""


def listing_year(offer: Offer) -> str:
    """Year that a listing is of at least; empty where it says none."""
    return listing_date(offer)[:4]


def cheapest_offer(
    offers: OfferSet, gpu: str, num_gpus: int, *, spot: bool = False, any_year: bool = False
) -> Offer | None:
    """The offer with the lowest price per GPU that has room for so many of them in one machine; None without one.

    Parameters
        spot        Whether offers that may be taken back count.
        any_year    Whether listings older than the newest year count.
    Notes           Of equal prices the first of the set.
    """
    possible = [
        offer
        for offer in offers.offers
        if offer.gpu == gpu and host_gpus(offer) >= num_gpus and (spot or not offer.spot)
    ]
    newest = max((listing_year(offer) for offer in possible), default="")
    counted = [offer for offer in possible if any_year or listing_year(offer) in ("", newest)]
    return min(counted, key=lambda offer: offer.price_usd_per_gpu_hour, default=None)


def older_and_cheaper(offers: OfferSet, gpus: Sequence[str], *, spot: bool = False) -> str:
    """A note that names the GPU types whose lowest price of a single GPU is too old to count; empty without any."""
    found = []
    for gpu in gpus:
        lowest = cheapest_offer(offers, gpu, 1, spot=spot, any_year=True)
        taken = cheapest_offer(offers, gpu, 1, spot=spot)
        if lowest is not None and taken is not None and lowest.price_usd_per_gpu_hour < taken.price_usd_per_gpu_hour:
            found.append(f"{gpu} {lowest.price_usd_per_gpu_hour:.2f} $/h of {listing_date(lowest)}")
    return f"cheaper, but older than the newest year of the type: {', '.join(found)}" if found else ""


def used_prices(entries: Iterable[Entry]) -> tuple[UsedPrice, ...]:
    """The listings that `entries` rest on, in the order of their first use, each once."""
    sizes: dict[tuple[str, Offer], set[int]] = {}
    for entry in entries:
        sizes.setdefault((entry.gpu, entry.offer), set()).add(entry.config.num_gpus)
    return tuple(UsedPrice(gpu, offer, tuple(sorted(of_it))) for (gpu, offer), of_it in sizes.items())


def dates_of(entries: Iterable[Entry]) -> str:
    """Date, or range of dates, of the listings that `entries` rest on; empty where none says its date."""
    dates = sorted({date for entry in entries if (date := listing_date(entry.offer))})
    return " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""
