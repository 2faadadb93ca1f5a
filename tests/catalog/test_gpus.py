"""The GPU catalogue holds plausible rows, and every alias leads to one of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.catalog import find_gpu, find_gpu_by_memory, gpu_name_for, load_gpu_types, parse_gpu
from cuvee.catalog.aliases import SCHEMES, normalize_gpu_name, resolve_alias
from cuvee.catalog.gpus import refine_form_factor
from cuvee.catalog.resources import read_data_rows
from cuvee.errors import CuveeError, InputError, UnknownNameError

TYPES = load_gpu_types()
ALIASES = read_data_rows("gpu_aliases.csv")
FP8_ARCHITECTURES = {"Ada", "Hopper", "Blackwell", "Blackwell Ultra", "CDNA3", "Gaudi"}
BF16_LACKING = {"Turing", "Volta"}


def test_the_catalogue_covers_the_market():
    """At least 35 types, from T4 to GB200 and MI250 to MI325X."""
    assert len(TYPES) >= 35
    assert {"T4", "RTX4090", "H100-SXM", "GB200", "MI250", "MI325X", "Gaudi3"} <= set(TYPES)


@pytest.mark.parametrize("gpu", TYPES.values(), ids=TYPES)
def test_every_gpu_row_is_within_the_range_of_its_unit(gpu):
    """A figure in the wrong unit falls out of these ranges; every row states source and date."""
    assert 8 <= gpu.memory_gb <= 300
    # Nominal memory counts in GiB: usable bytes stay within 90 to 100 % of it.
    assert 0.90 <= gpu.usable_memory_gb / (gpu.memory_gb * 1.073741824) <= 1.0
    assert 250 <= gpu.bandwidth_gb_per_s <= 9000
    assert all(50 <= rate <= 15_000 for rate in gpu.tflops.values())
    assert 16 <= gpu.link_gb_per_s <= 1000
    assert gpu.link_kind in {"nvlink", "xgmi", "pcie", "ethernet", "ici"}
    assert gpu.max_gpus_per_machine in {1, 4, 8, 16}
    assert gpu.tdp_w is None or 50 <= gpu.tdp_w <= 1500
    assert gpu.source
    assert re.fullmatch(r"20\d\d-\d\d", gpu.date_read)


@pytest.mark.parametrize("gpu", TYPES.values(), ids=TYPES)
def test_precisions_match_the_architecture(gpu):
    """FP8 stands only on architectures that have it, FP4 only on Blackwell, BF16 not before Ampere."""
    assert ("fp8" in gpu.tflops) == (gpu.architecture in FP8_ARCHITECTURES)
    assert ("fp4" in gpu.tflops) == gpu.architecture.startswith("Blackwell")
    assert ("bf16" in gpu.tflops) == (gpu.architecture not in BF16_LACKING)
    assert gpu.tflops.get("fp8", 9e9) >= gpu.tflops.get("bf16", 0)


def test_pcie_cards_use_their_slot_and_sxm_parts_their_fabric():
    """A bridge is not counted: an A6000 has 32 GB/s, not 56; an H100 SXM has 450 one way, not 900."""
    assert (TYPES["A6000"].link_gb_per_s, TYPES["A6000"].has_fast_link) == (32, False)
    assert (TYPES["H100-SXM"].link_gb_per_s, TYPES["H100-SXM"].has_fast_link) == (450, True)


def test_dense_rates_are_not_the_sparse_ones_of_the_sheets():
    """H100 SXM multiplies 989 TFLOPS dense; the 1979 that sheets print first is sparse."""
    assert TYPES["H100-SXM"].tflops["bf16"] == pytest.approx(989.4)
    assert TYPES["L40S"].usable_memory_gb == pytest.approx(46068 * 2**20 / 1e9)


def test_every_alias_leads_to_a_gpu_type_of_a_known_scheme():
    """No alias points nowhere."""
    assert {row["gpu"] for row in ALIASES} <= set(TYPES)
    assert {row["scheme"] for row in ALIASES} == set(SCHEMES)


def test_no_alias_means_two_types_but_the_known_one():
    """Within a scheme an alias is unique (gpuhunt tells by memory); across schemes only "A100" differs."""
    meanings: dict[str, dict[str, str]] = {}
    for row in ALIASES:
        if row["scheme"] == "gpuhunt":
            continue
        seen = meanings.setdefault(normalize_gpu_name(row["alias"]), {})
        assert seen.setdefault(row["scheme"], row["gpu"]) == row["gpu"], row
    clashes = {alias for alias, schemes in meanings.items() if len(set(schemes.values())) > 1}
    assert clashes == {"a100"}


@pytest.mark.parametrize("name", TYPES)
def test_no_alias_shadows_a_canonical_name(name):
    """A canonical name finds itself in any case, under any scheme."""
    assert all(find_gpu(name, scheme=scheme).name == name for scheme in SCHEMES)
    assert resolve_alias(name.lower()) == name


@pytest.mark.parametrize("scheme", ["skypilot", "aiconfigurator", "kubernetes"])
@pytest.mark.parametrize("name", TYPES)
def test_names_lead_there_and_back(scheme, name):
    """The name written for another tool, read as that tool's, is the same GPU."""
    try:
        written = gpu_name_for(scheme, name)
    except InputError as error:
        assert "has no name" in str(error)  # noqa: PT017 a scheme need not know every GPU
        return
    assert find_gpu(written, scheme=scheme).name == name


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("H100:8", "H100-SXM", 8),
        ("A100-80GB:8", "A100-80GB-SXM", 8),
        ("l40s", "L40S", 1),
        (" RTX 4090 : 2 ", "RTX4090", 2),
        ("4090", "RTX4090", 1),
        ("h200_sxm:4", "H200-SXM", 4),
        ("NVIDIA-H100-80GB-HBM3", "H100-SXM", 1),
        ("Tesla-T4", "T4", 1),
        ("RTX-4090-24G", "RTX4090", 1),
        ("H200-SXM-141G", "H200-SXM", 1),
        ("A100-PCIe-80G", "A100-80GB-PCIe", 1),
        ("A100", "A100-80GB-SXM", 1),
        ("A6000", "A6000", 1),
    ],
)
def test_a_gpu_is_found_by_the_names_people_use(text, name, count):
    """Names of SkyPilot, AIConfigurator, Kubernetes, the paper and benchmark tables are understood."""
    assert parse_gpu(text) == (name, count)


def test_skypilot_means_40_gb_by_a100():
    """The same word is 40 GB in a SkyPilot catalogue and 80 GB elsewhere."""
    assert find_gpu("A100", scheme="skypilot").name == "A100-40GB-SXM"


@pytest.mark.parametrize("text", ["H100:0", "H100:-1", "H100:x", "H100:", "H100:1.5", "H100:²", "H100:" + "9" * 5000])
def test_a_count_that_is_no_count_is_refused(text):
    """Only whole numbers from 1 on count GPUs."""
    with pytest.raises(InputError, match="count"):
        parse_gpu(text)


def test_an_unknown_gpu_names_the_nearest_and_the_command():
    """A slip of the finger is answered with the type that was meant."""
    with pytest.raises(UnknownNameError, match=r"(?s)H100-SXM.*cuvee gpus"):
        find_gpu("H100-SXN")


@given(st.text(max_size=40))
def test_any_text_is_a_gpu_or_a_cuvee_error(text):
    """Nothing typed as a GPU raises another exception."""
    try:
        name, count = parse_gpu(text)
    except CuveeError:
        return
    assert name in TYPES
    assert count >= 1


@pytest.mark.parametrize(
    ("name", "memory_gb", "hint", "expected"),
    [
        ("A100", 40, "", "A100-40GB-SXM"),
        ("A100", 80, "", "A100-80GB-SXM"),
        ("A100", 80, "NVIDIA A100 80GB PCIe", "A100-80GB-PCIe"),
        ("H100", 80, "", "H100-SXM"),
        ("H100", 80, "n3-H100x8-NVLink", "H100-SXM"),
        ("H100", 94, "", "H100-NVL"),
        ("H100NVL", 94, "", "H100-NVL"),
        ("H200", 141, "gpu-h200-nvlink", "H200-SXM"),
        ("MI325X", 288, "", "MI325X"),
        ("RTX4090", None, "", "RTX4090"),
        ("V100", 32, "", "V100-SXM2-32GB"),
    ],
)
def test_memory_and_instance_tell_types_of_one_name_apart(name, memory_gb, hint, expected):
    """gpuhunt and dstack say "A100": memory tells 40 from 80 GB, the instance PCIe from SXM."""
    assert find_gpu_by_memory(name, memory_gb, hint=hint).name == expected


@pytest.mark.parametrize("memory_gb", [4, 12, 1e300, -24])
def test_a_share_of_a_gpu_is_not_the_gpu(memory_gb):
    """An A10 with 4 GB is a sixth of one, and no type of the catalogue."""
    with pytest.raises(UnknownNameError):
        find_gpu_by_memory("A10", memory_gb)


def test_instance_text_refines_the_form_factor_only_within_equal_memory():
    """PCIe in the instance name turns one 80 GB A100 into the other, and never an L40S into anything."""
    assert refine_form_factor(TYPES["A100-80GB-SXM"], "A100 PCIe").name == "A100-80GB-PCIe"
    assert refine_form_factor(TYPES["L40S"], "some pcie host").name == "L40S"


def test_an_unknown_scheme_is_refused():
    """A scheme that nobody uses is named together with those that are."""
    with pytest.raises(UnknownNameError, match="skypilot"):
        gpu_name_for("skypilott", "L4")


def test_the_loaded_catalogue_cannot_be_changed_by_a_caller():
    """Removing a type from the answer leaves the catalogue whole."""
    load_gpu_types().clear()
    assert load_gpu_types()


@pytest.mark.parametrize(
    ("gpu", "able", "unable"),
    [
        ("V100-SXM2-16GB", ("bf16",), ("fp8", "int8", "int4", "mxfp4")),
        ("T4", ("bf16", "int8", "int4"), ("fp8", "mxfp4")),
        ("A100-80GB-SXM", ("bf16", "fp8", "int8", "int4", "mxfp4"), ()),
        ("H100-SXM", ("bf16", "fp8", "int8", "int4", "mxfp4"), ()),
        ("MI300X", ("bf16", "fp8"), ("mxfp4",)),
    ],
)
def test_precisions_that_engines_run(gpu, able, unable):
    """Weights need the GPU's own arithmetic or a kernel for its generation: no fp8 on a V100, however cheap it is."""
    found = find_gpu(gpu)
    assert all(found.can_hold_weights(precision) for precision in able)
    assert not any(found.can_hold_weights(precision) for precision in unable)
