"""Offer sets of the catalogue are sound; files in five formats load; hostile ones fail by name and line."""

import csv
import gzip
import io
import itertools
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cuvee.catalog import Offer, load_gpu_types, load_offers, offer_set_names
from cuvee.catalog.resources import read_data_rows
from cuvee.errors import CuveeError, InputError, UnknownNameError

ALL_SETS = [load_offers(name) for name in offer_set_names()]

SKYPILOT_HEADER = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice,AvailabilityZone"
)
GPUHUNT_HEADER = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def dstack_offer(**changes: Any) -> dict[str, Any]:
    """One entry of `dstack offer --json`."""
    gpus = changes.pop("gpus", [{"vendor": "nvidia", "name": "H100", "memory_mib": 81920}] * 8)
    offer = {
        "backend": "runpod",
        "region": "US-KS-2",
        "price": 23.92,
        "availability": "available",
        "instance": {"name": "NVIDIA H100 80GB HBM3", "resources": {"cpus": 128, "gpus": gpus, "spot": False}},
    }
    return offer | changes


# -- the sets of the catalogue -------------------------------------------------------------------


@pytest.mark.parametrize("offer_set", ALL_SETS, ids=offer_set_names())
def test_every_offer_has_a_known_gpu_a_date_and_a_source(offer_set):
    """No offer names a GPU that the catalogue lacks; prices per GPU are plausible."""
    types = load_gpu_types()
    for offer in offer_set.offers:
        assert offer.gpu in types
        assert re.search(r"20\d\d", offer.as_of), offer
        assert offer.source
        assert 0.05 <= offer.price_usd_per_gpu_hour <= 20
        assert offer.machine_gpus <= types[offer.gpu].max_gpus_per_machine, offer


@pytest.mark.parametrize("offer_set", ALL_SETS, ids=offer_set_names())
def test_no_offer_stands_there_twice(offer_set):
    """One price per GPU, seller, place, size and spot flag."""
    keys = [(o.gpu, o.seller, o.region, o.zone, o.num_gpus, o.spot) for o in offer_set.offers]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("number", "stocks"),
    [
        (1, (16, 12, 8, 12, 6, 8)),
        (2, (32, 8, 16, 16, 7, 12)),
        (3, (32, 16, 8, 8, 32, 8)),
        (4, (24, 24, 24, 16, 4, 8)),
    ],
)
def test_the_paper_sets_are_its_tables(number, stocks):
    """Prices of Table 1 and the four stocks of Table 4."""
    offers = load_offers(f"paper-avail-{number}").offers
    assert [(o.gpu, o.price_usd_per_hour) for o in offers] == [
        ("RTX4090", 0.53),
        ("A40", 0.55),
        ("A6000", 0.83),
        ("L40", 0.83),
        ("A100-80GB-SXM", 1.75),
        ("H100-SXM", 2.99),
    ]
    assert tuple(o.stock for o in offers) == stocks
    assert {(o.num_gpus, o.machine_gpus, o.spot) for o in offers} == {(1, 8, False)}


def test_the_market_is_named_after_its_newest_date():
    """The name of the snapshot follows the data; "market" is the same set."""
    newest = max(re.findall(r"20\d\d-\d\d", " ".join(row["as_of"] for row in read_data_rows("offers/market.csv"))))
    assert f"market-{newest}" in offer_set_names()
    assert load_offers("market") is load_offers(f"market-{newest}")


def test_market_spot_prices_are_below_on_demand():
    """A spot offer at the on-demand price would be no spot offer."""
    offers = load_offers("market").offers
    regular = {(o.gpu, o.seller, o.region, o.num_gpus): o.price_usd_per_hour for o in offers if not o.spot}
    pairs = [(o, regular.get((o.gpu, o.seller, o.region, o.num_gpus))) for o in offers if o.spot]
    assert len(pairs) > 30
    assert all(price is None or offer.price_usd_per_hour < price for offer, price in pairs)


TWICE = "gpu,price_usd_per_hour,stock,note\nA40,0.5,4,\nH100,2.5,1,\nA40,0.50,4,{note}\n"


def test_an_offer_that_stands_in_a_file_twice_is_refused(tmp_path):
    """It would be two offers of four GPUs each; both lines are named. With a note of its own it is another offer."""
    path = tmp_path / "offers.csv"
    path.write_text(TWICE.format(note=""))
    with pytest.raises(InputError, match=r"csv:4: the same offer as .*csv:2: its stock would count twice"):
        load_offers(path)
    path.write_text(TWICE.format(note="rack 7"))
    assert [each.stock for each in load_offers(path).offers] == [4, 1, 4]


def test_an_unknown_set_names_the_known_ones():
    """A word that is no set and no file is answered with the sets."""
    with pytest.raises(UnknownNameError, match="paper-avail-4"):
        load_offers("paper-avail-7")
    with pytest.raises(UnknownNameError):
        load_offers("")


# -- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_own_csv_needs_only_gpu_and_price(tmp_path, packed):
    """Everything else has a default: seller from the file name, one GPU, stock unknown."""
    text = "\ufeffgpu,price_usd_per_hour\r\nH100,2.5\r\n\r\n4090,0.4\r\n".encode()
    path = write(tmp_path, "mine.csv", gzip.compress(text) if packed else text)
    offers = load_offers(str(path)).offers
    assert offers[0] == Offer(gpu="H100-SXM", seller="mine", price_usd_per_hour=2.5, source="mine.csv")
    assert (offers[1].gpu, offers[1].stock, offers[1].region) == ("RTX4090", None, "any")


def test_own_csv_reads_every_column(tmp_path):
    """Every documented column arrives in the offer."""
    text = (
        "gpu,seller,region,zone,num_gpus,machine_gpus,spot,price_usd_per_hour,stock,instance,as_of,source\n"
        "A100-80GB,acme,eu,eu-1,2,8,yes,3.1,none,big,2026-10-01,invoice\n"
    )
    (offer,) = load_offers(write(tmp_path, "o.csv", text)).offers
    expected = Offer("A100-80GB-SXM", "acme", 3.1, "eu", "eu-1", 2, 8, True, 0, "big", "2026-10-01", "invoice")
    assert offer == expected


@pytest.mark.parametrize(
    "text",
    [
        "- {gpu: L4, price_usd_per_hour: 0.5, stock: 3}\n",
        "name: ours\nas_of: 2026-11-01\nsource: contract\noffers:\n- gpu: L4\n  price_usd_per_hour: 0.5\n  stock: 3\n",
    ],
)
def test_own_yaml_is_a_list_or_an_object(tmp_path, text):
    """A bare list and an object with name, date and source both load."""
    offer_set = load_offers(write(tmp_path, "ours.yaml", text))
    (offer,) = offer_set.offers
    assert (offer.gpu, offer.price_usd_per_hour, offer.stock) == ("L4", 0.5, 3)
    if "name:" in text:
        assert (offer_set.name, offer_set.as_of, offer_set.source) == ("ours", "2026-11-01", "contract")


def test_skypilot_rows_give_on_demand_and_spot(tmp_path):
    """A row with both prices is two offers; equal prices are no spot; the folder names the cloud."""
    (tmp_path / "aws").mkdir()
    rows = [
        SKYPILOT_HEADER,
        "p4d,A100,8,96,1152,21.96,us-east-1,,9.5,us-east-1a",
        "1x,A100-80GB,1.0,8,80,1.4,CA,\"{'Gpus': [{'Name': 'A100 PCIe'}]}\",1.4,CA-1",
        "m5,,,4,16,0.2,us-east-1,,,",
        "inf2,Inferentia,1,4,16,0.8,us-east-1,,,",
        "g6f,L4,0.25,2,8,0.2,us-east-1,,,",
        "gone,H100,8,96,1152,,us-east-1,,,",
    ]
    offer_set = load_offers(write(tmp_path / "aws", "vms.csv", "\n".join(rows)))
    found = [(o.gpu, o.seller, o.spot, o.price_usd_per_hour, o.num_gpus, o.zone) for o in offer_set.offers]
    assert found == [
        ("A100-40GB-SXM", "aws", False, 21.96, 8, "us-east-1a"),
        ("A100-40GB-SXM", "aws", True, 9.5, 8, "us-east-1a"),
        ("A100-80GB-PCIe", "aws", False, 1.4, 1, "CA-1"),
    ]
    notes = " ".join(offer_set.notes)
    for reason in ("1 x without GPU", "1 x share of a GPU", "1 x no price", "Inferentia (1)", "1 x spot price equal"):
        assert reason in notes


def test_gpuhunt_csv_and_json_agree(tmp_path):
    """The same items as CSV or JSON give the same offers; memory tells 40 from 80 GB."""
    rows = [
        ["a2", "us-central1", "3.67", "12", "85", "1", "A100", "40", "False", ""],
        ["nd", "eastus", "32.77", "96", "900", "8", "A100", "80", "True", ""],
        ["cpu", "eastus", "0.1", "2", "8", "0", "", "", "False", ""],
        ["nv6", "eastus", "0.45", "6", "55", "1", "A10", "4", "False", ""],
    ]
    columns = GPUHUNT_HEADER.split(",")
    text = "\n".join([GPUHUNT_HEADER, *(",".join(row) for row in rows)])
    items = [dict(zip(columns, row, strict=True)) | {"provider": "cloud"} for row in rows]
    from_csv = load_offers(write(tmp_path, "cloud.csv", text))
    from_json = load_offers(write(tmp_path, "cloud.json", json.dumps(items)))
    found = [(o.gpu, o.seller, o.num_gpus, o.spot) for o in from_csv.offers]
    assert found == [("A100-40GB-SXM", "cloud", 1, False), ("A100-80GB-SXM", "cloud", 8, True)]
    assert [(o.gpu, o.seller, o.num_gpus, o.spot) for o in from_json.offers] == found
    assert any("A10 4 GB" in note for note in from_csv.notes)


@pytest.mark.parametrize(
    ("availability", "stock"),
    [("available", None), ("not_available", 0), ("no_quota", 0), ("unknown", None), (5, 5), ("3", 3), (None, None)],
)
def test_dstack_availability_becomes_stock(tmp_path, availability, stock):
    """dstack says whether, not how many: only a refusal is a number."""
    document = {"project": "main", "offers": [dstack_offer(availability=availability)], "total_offers": 40}
    offer_set = load_offers(write(tmp_path, "offers.json", json.dumps(document)))
    (offer,) = offer_set.offers
    assert (offer.gpu, offer.num_gpus, offer.seller, offer.stock) == ("H100-SXM", 8, "runpod", stock)
    assert any("1 of 40" in note for note in offer_set.notes)


def test_dstack_grouped_output_says_how_to_get_offers(tmp_path):
    """The grouped form has no offers; the message names the flag."""
    path = write(tmp_path, "o.json", json.dumps({"project": "main", "group_by": ["gpu"], "gpus": []}))
    with pytest.raises(InputError, match="without --group-by"):
        load_offers(path)


# -- hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["-1", "0", "nan", "inf", "1e9", "1e-9", "", "free", "1,5", "$2", "1_0", "True"])
def test_a_price_that_is_none_is_refused(tmp_path, price):
    """The message names file, line and column."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["gpu", "price_usd_per_hour"], ["L4", "0.5"], ["L4", price]])
    with pytest.raises(InputError, match=r"bad\.csv:3: price_usd_per_hour = .*\n  expected: a price from"):
        load_offers(write(tmp_path, "bad.csv", buffer.getvalue()))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("stock", "-1"),
        ("stock", "1.5"),
        ("stock", "some"),
        ("stock", "1e30"),
        ("num_gpus", "0"),
        ("num_gpus", "0.5"),
        ("num_gpus", "9999999"),
        ("machine_gpus", "-8"),
        ("spot", "maybe"),
        ("gpu", "H1000X"),
        ("gpu", ""),
        ("stok", "3"),
    ],
)
def test_a_wrong_field_of_our_own_format_names_line_and_column(tmp_path, column, value):
    """Counts, flags, unknown GPUs and unknown columns are all told by place."""
    row = {"gpu": "L4", "price_usd_per_hour": "0.5"} | {column: value}
    text = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    with pytest.raises(InputError, match=rf"bad\.csv:2: {column}\b"):
        load_offers(write(tmp_path, "bad.csv", text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"gpu,price_usd_per_hour\n", "no usable offer"),
        (b"gpu,gpu,price_usd_per_hour\nL4,L4,1\n", r":1: column 'gpu' stands there twice"),
        (b"gpu,price\nL4,1\n", "no column 'price_usd_per_hour'"),
        (b"hello world\n", "no column"),
        (b"gpu,price_usd_per_hour\nL4,1,2\n", ":2: 3 fields"),
        (b"gpu,price_usd_per_hour\nL4\n", ":2: 1 fields"),
        (b'gpu,price_usd_per_hour\nL4,"1\n', "unexpected end of data"),
        (b'gpu,price_usd_per_hour\n"' + b"L" * 200_000 + b'",1\n', ":2: field larger"),
        (b"gpu,price_usd_per_hour\nL4,\0\n", ":2: a NUL byte"),
        (b"gpu,price_usd_per_hour\nL4,\xff\n", ":2: byte 0xff"),
        (gzip.compress(bytes(range(1, 128)) * 99, mtime=0)[:-9], "broken after line"),
        (b'{"offers": 3}', "expected: a list of offers"),
        (b'{"offers": [3]}', r"offers\[0\]: a number"),
        (b'{"offers": []}', "no usable offer"),
        (b'{"prices": []}', "no field 'offers'"),
        (b'[{"gpu": "L4"}]', r"\[0\]: no field 'price_usd_per_hour'"),
        (b'[{"gpu": "L4", "price_usd_per_hour": NaN}]', "price_usd_per_hour = nan"),
        (b'[{"gpu": ["L4"], "price_usd_per_hour": 1}]', r"gpu = \['L4'\]"),
        (b'[{"gpu": "L4", "price_usd_per_hour": true}]', "price_usd_per_hour = True"),
        (b'[{"gpu": "L4",}]', ":1:15: not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"c" + b",c" * 500, "501 columns"),
    ],
)
def test_a_file_that_is_no_offers_is_an_input_error(tmp_path, content, message):
    """Broken, hostile and empty files are named with their place."""
    with pytest.raises(InputError, match=message):
        load_offers(write(tmp_path, "bad.csv", content))


ALIAS_BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(9 * ['*' + before])}]\n" for before, name in itertools.pairwise("abcdefg")
)
"""Half a million entries by reference, were anybody to walk or print them."""


@pytest.mark.parametrize(
    "content",
    [
        "a: [",
        "- gpu: L4\n  gpu",
        "? [1]\n: 2",
        "!!python/object/apply:os.getcwd []",
        "- {gpu: L4, price_usd_per_hour: 0.5, as_of: 2026-99-99}",
        "x: !!timestamp nonsense",
        "- &a {gpu: *a, price_usd_per_hour: 1}",
        "&a [*a]",
        ALIAS_BOMB + "offers: *g",
        ALIAS_BOMB + "offers: [{gpu: *g, price_usd_per_hour: 1}]",
        "[" * 3000,
        "just text",
        "- 1\n- 2",
        "offers:\n- {1: 2}",
    ],
)  # fmt: skip
def test_hostile_yaml_is_an_input_error(tmp_path, content):
    """Syntax errors, object tags, impossible dates, cycles and alias bombs are translated, and quickly."""
    with pytest.raises(InputError, match=r"bad\.yaml"):
        load_offers(write(tmp_path, "bad.yaml", content))


@pytest.mark.parametrize(
    "changes",
    [
        {"instance": None},
        {"instance": {"name": "x"}},
        {"gpus": 3},
        {"gpus": [3]},
        {"gpus": []},
        {"gpus": [{"name": "H100"}, {"name": "L4"}]},
        {"gpus": [{"name": "H100", "memory_mib": "much"}]},
        {"gpus": [{"name": "K80", "memory_mib": 12288}]},
        {"price": 0},
        {"price": None},
        {"availability": -3},
    ],
)
def test_broken_dstack_output_is_an_input_error(tmp_path, changes):
    """Missing objects, wrong types and offers without usable GPUs never end in a traceback."""
    path = write(tmp_path, "o.json", json.dumps({"offers": [dstack_offer(**changes)]}))
    with pytest.raises(InputError):
        load_offers(path)


@pytest.mark.parametrize("path", ["absent.csv", "./nothing", ".", "a\0.csv", "x/" * 3000])
def test_a_path_that_is_no_file_is_an_input_error(tmp_path, monkeypatch, path):
    """Missing files and directories are told as such."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        load_offers(path)


HEADERS = st.sampled_from(["", "gpu,price_usd_per_hour\n", SKYPILOT_HEADER + "\n", GPUHUNT_HEADER + "\n", "[", "{"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(header=HEADERS, content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".yaml", ".json"]))
def test_arbitrary_bytes_as_offers_raise_nothing_else(tmp_path, header, content, suffix):
    """No file makes the offer reader fail with anything but our own errors."""
    path = write(tmp_path, f"any{suffix}", header.encode() + content)
    with suppress(CuveeError):
        load_offers(path)


CELLS = st.sampled_from(["", "L4", "A100", "8", "0.5", "-1", "nan", "1e400", "x", "True", '"', "K80", "²"]) | st.text(
    max_size=4
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(header=st.sampled_from([SKYPILOT_HEADER, GPUHUNT_HEADER]), data=st.data())
def test_arbitrary_cells_give_offers_or_our_own_error(tmp_path, header, data):
    """Whatever stands in the cells of a foreign catalogue, the answer is a set of valid offers or a CuveeError."""
    columns = header.split(",")
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(columns), max_size=len(columns)), max_size=3))
    buffer = io.StringIO()
    csv.writer(buffer).writerows([columns, *rows])
    path = write(tmp_path, "any.csv", buffer.getvalue().encode("utf-8", "surrogatepass"))
    with suppress(CuveeError):
        assert all(offer.price_usd_per_hour > 0 for offer in load_offers(path).offers)
