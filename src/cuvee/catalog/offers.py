"""Offer sets: the ones of the catalogue by name, and files in the formats users already have."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cuvee.catalog.offer import OfferSet
from cuvee.catalog.offer_formats import (
    GPUHUNT_REQUIRED,
    OWN_REQUIRED,
    SKYPILOT_REQUIRED,
    Origin,
    Reader,
    Reading,
    read_dstack,
    read_gpuhunt,
    read_own,
    read_records,
    read_skypilot,
    with_defaults,
)
from cuvee.catalog.records import Record
from cuvee.catalog.resources import read_data_text
from cuvee.catalog.tables import parse_csv, parse_json, parse_yaml, records_of
from cuvee.errors import InputError, UnknownNameError
from cuvee.files import read_text

MARKET = "market-2026-09"
PAPER = tuple(f"paper-avail-{number}" for number in range(1, 5))
ALIASES = {"market": MARKET}

MARKET_NOTES = (
    "listings of 2024-12 to 2026-09 side by side: see as_of of each offer",
    "stock unknown: each offer is capped at 16 GPUs",
)
PAPER_NOTES = ("the paper does not date its prices", "GPUs per server are not given: 8 assumed")

MAX_FILE_MB = 64.0
MAX_YAML_MB = 2.0
DATE = re.compile(r"20\d\d(?:-\d\d){0,2}")
FORMATS = "CSV or YAML with gpu and price_usd_per_hour, a gpuhunt or SkyPilot catalogue, or `dstack offer --json`"


def offer_set_names() -> tuple[str, ...]:
    """Names of the offer sets of the catalogue."""
    return (*PAPER, MARKET)


def load_offers(name_or_path: str | Path) -> OfferSet:
    """Offers of a set of the catalogue or of a file, plain or gzip.

    Parameters
        name_or_path    One of `offer_set_names()`, "market" for the newest snapshot, or a file: our CSV or YAML,
                        gpuhunt items (JSON or CSV), `dstack offer --json`, or a SkyPilot catalogue CSV.
    Returns             the set; its notes count the rows that were left out and say why.
    Raises              UnknownNameError: neither a set nor a file; InputError: a file that cannot be used,
                        with line and column.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, str):
        key = ALIASES.get(name.strip().lower(), name.strip().lower())
        if key in offer_set_names():
            return _catalogue_set(key)
        if not _looks_like_path(name):
            raise UnknownNameError(
                "offer set", name, offer_set_names(), remedy="list them with: cuvee offers; or give a file"
            )
    return _load_file(Path(name))


def _looks_like_path(name: str) -> bool:
    if not name.strip():
        return False
    try:
        return "/" in name or "." in name or Path(name).exists()
    except (OSError, ValueError):
        return False


@cache
def _catalogue_set(name: str) -> OfferSet:
    is_market = name == MARKET
    file_name = "offers/market.csv" if is_market else "offers/paper.csv"
    _, rows = parse_csv(read_data_text(file_name), file_name)
    records = list(rows) if is_market else _paper_rows(rows, name.removeprefix("paper-avail-"))
    reading = read_records(records, read_own, Origin(seller="", source=""))
    return _offer_set(name, reading, MARKET_NOTES if is_market else PAPER_NOTES)


def _paper_rows(rows: Iterable[Record], number: str) -> list[Record]:
    """Rows of one of the paper's four stocks, without the column that tells them apart."""
    kept = [row for row in rows if row.text("set") == number]
    return [Record(row.place, {key: row.values[key] for key in row.values if key != "set"}) for row in kept]


def _load_file(path: Path) -> OfferSet:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    is_yaml = bool(suffixes) and suffixes[-1] in (".yaml", ".yml")
    text = read_text(path, max_mb=MAX_YAML_MB if is_yaml else MAX_FILE_MB)
    if not text.strip():
        raise InputError(f"{path}: empty", expected=FORMATS)
    if is_yaml:
        return _from_tree(parse_yaml(text, str(path)), path)
    if text.lstrip().startswith(("{", "[")):
        return _from_tree(parse_json(text, str(path)), path)
    return _from_csv(text, path)


def _from_csv(text: str, path: Path) -> OfferSet:
    """Offers of a CSV, whose header tells the format."""
    header, records = parse_csv(text, str(path))
    reader = _csv_reader(header, path)
    return _offer_set(str(path), read_records(records, reader, _origin(path)))


def _csv_reader(header: tuple[str, ...], path: Path) -> Reader:
    formats = ((SKYPILOT_REQUIRED, read_skypilot), (GPUHUNT_REQUIRED, read_gpuhunt), (OWN_REQUIRED, read_own))
    # The format that shares most columns is meant, so that the message names the one column that is missing.
    required, reader = max(formats, key=lambda entry: len(set(entry[0]) & set(header)) / len(entry[0]))
    missing = [column for column in required if column not in header]
    if missing:
        shown = ", ".join(header)[:200]
        raise InputError(
            f"{path}:1: no column {missing[0]!r} among {shown}", expected=FORMATS, remedy="add or rename the column"
        )
    return reader


def _from_tree(tree: object, path: Path) -> OfferSet:
    """Offers of a JSON or YAML document: a list, or an object with "offers" and perhaps name, as_of, source."""
    top = tree if isinstance(tree, dict) else {"offers": tree}
    record = Record(str(path), top)
    if "offers" not in top:
        remedy = "run dstack offer without --group-by" if "gpus" in top else "put the list under offers:"
        raise InputError(f"{path}: no field 'offers'", expected=FORMATS, remedy=remedy)
    place = f"{path}: offers" if isinstance(tree, dict) else f"{path}: "
    records = records_of(top["offers"], place)
    origin = with_defaults(_origin(path), as_of=record.text("as_of"), source=record.text("source"))
    reading = read_records(records, _tree_reader(records), origin)
    return _offer_set(record.text("name", str(path)), reading, _cut_short(record, len(records)))


def _tree_reader(records: list[Record]) -> Reader:
    first = records[0].values if records else {}
    if "instance" in first and "backend" in first:
        return read_dstack
    return read_gpuhunt if "gpu_name" in first or "instance_name" in first else read_own


def _cut_short(record: Record, num_offers: int) -> tuple[str, ...]:
    """Note where dstack says that it had more offers than it wrote."""
    total = record.count("total_offers", default=num_offers, low=0, high=10**9)
    return (f"the file holds {num_offers} of {total} offers: see --max-offers of dstack",) if total > num_offers else ()


def _origin(path: Path) -> Origin:
    """Seller and source that the path tells: SkyPilot keeps one folder per cloud, each with a vms.csv."""
    stem = path.name.split(".")[0]
    seller = path.resolve().parent.name if stem == "vms" else stem
    return Origin(seller=seller or "unknown", source=path.name)


def _offer_set(name: str, reading: Reading, notes: tuple[str, ...] = ()) -> OfferSet:
    if not reading.offers:
        raise InputError(
            f"{name}: no usable offer{''.join(f'; {note}' for note in reading.notes()[:5])}",
            expected="at least one whole GPU of a type in the catalogue",
            remedy="list the types with: cuvee gpus",
        )
    dates = [date for offer in reading.offers for date in DATE.findall(offer.as_of)]
    span = sorted({min(dates), max(dates)}) if dates else []
    sources = list(dict.fromkeys(offer.source for offer in reading.offers))
    more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    return OfferSet(
        name=name,
        offers=tuple(reading.offers),
        as_of=" to ".join(span),
        source="; ".join(sources[:3]) + more,
        notes=(*notes, *reading.notes()),
    )
