"""The GPU types of the catalogue, found by any of their names."""

import re
from functools import cache

from cuvee.catalog.aliases import resolve_alias, resolve_all
from cuvee.catalog.gpu import GpuType
from cuvee.catalog.resources import read_data_rows
from cuvee.errors import InputError, UnknownNameError
from cuvee.units import BYTES_PER_GB, BYTES_PER_MIB

MAX_GPUS_NAMED = 100_000
"""Largest count accepted in "H100:8" [-]; above it, a typing error is likelier than a fleet."""

MEMORY_TOLERANCE = 0.2
"""Widest gap between a stated and the catalogue's memory [-]; below the step from a whole GPU to half of one."""

RATE_COLUMNS = {
    "fp16": "fp16_tflops",
    "bf16": "bf16_tflops",
    "fp8": "fp8_tflops",
    "int8": "int8_tops",
    "fp4": "fp4_tflops",
}
FORM_FACTOR = re.compile(r"pcie|sxm|nvl(?!ink)", re.IGNORECASE)
LIST_GPUS = "list them with: cuvee gpus"


def load_gpu_types() -> dict[str, GpuType]:
    """GPU types of the catalogue by canonical name, in the order of the data file."""
    return dict(_gpu_types())


def find_gpu(name: str, *, scheme: str = "common") -> GpuType:
    """GPU type that `name` stands for.

    Parameters
        name      Canonical name or alias; case, spaces, "-" and "_" do not matter.
        scheme    Whose names come first: "skypilot" reads "A100" as 40 GB, "common" as 80 GB SXM.
    Raises        UnknownNameError: carries the nearest known names.
    """
    types = _gpu_types()
    found = types.get(name) or types.get(resolve_alias(name, scheme) or "")
    if found is None:
        raise UnknownNameError("GPU type", name, types, remedy=LIST_GPUS)
    return found


def parse_gpu(text: str) -> tuple[str, int]:
    """Canonical name and count of "H100:8"; the count is 1 where none is given.

    Raises        UnknownNameError, or InputError where the count is no whole number of at least 1.
    """
    name, separator, count_text = text.strip().rpartition(":")
    if not separator:
        return find_gpu(text.strip()).name, 1
    count_text = count_text.strip()
    digits = count_text.isascii() and count_text.isdecimal() and len(count_text) <= len(str(MAX_GPUS_NAMED))
    if not digits or not 1 <= int(count_text) <= MAX_GPUS_NAMED:
        raise InputError(
            f"GPU {text!r}: count {count_text!r}",
            expected=f"a whole number from 1 to {MAX_GPUS_NAMED}",
            remedy='write it like "H100:8"',
        )
    return find_gpu(name.strip()).name, int(count_text)


def find_gpu_by_memory(name: str, memory_gb: float | None, *, hint: str = "") -> GpuType:
    """GPU type of a catalogue that names GPUs without form factor and states their memory, as gpuhunt does.

    Parameters
        name         For example "A100".
        memory_gb    Memory of one GPU [GB, nominal]; None or 0 where not stated.
        hint         Text that may name the form factor, such as the instance name.
    Returns          the type of that name nearest in memory; among equals the one whose form factor `hint`
                     names, else the most common one.
    Raises           UnknownNameError: no such name, or none within 20 % of the memory (a share of a GPU).
    """
    types = _gpu_types()
    candidates = [types[gpu] for gpu in resolve_all(name, "gpuhunt")]
    if not candidates:
        candidates = [find_gpu(name)]
    if memory_gb:
        nearest = min(abs(gpu.memory_gb - memory_gb) for gpu in candidates)
        if not nearest <= MEMORY_TOLERANCE * memory_gb:
            raise UnknownNameError("GPU type", f"{name} with {memory_gb:g} GB", types, remedy=LIST_GPUS)
        candidates = [gpu for gpu in candidates if abs(gpu.memory_gb - memory_gb) == nearest]
    return max(candidates, key=lambda gpu: _form_matches(gpu.name, hint))


def refine_form_factor(gpu: GpuType, hint: str) -> GpuType:
    """Sibling of `gpu` with equal memory whose form factor `hint` names; `gpu` itself where it names none.

    Notes
        SkyPilot calls both forms of an 80 GB A100 "A100-80GB"; only its instance text tells them apart.
    """
    siblings = [
        other
        for other in _gpu_types().values()
        if (other.vendor, other.architecture, other.memory_gb) == (gpu.vendor, gpu.architecture, gpu.memory_gb)
        and other.name.split("-")[0] == gpu.name.split("-")[0]
    ]
    return next((other for other in siblings if _form_matches(other.name, hint)), gpu)


def form_factors(text: str) -> str:
    """The form factors that `text` names, e.g. "pcie", in lower case and sorted; empty where none."""
    return " ".join(sorted({match.lower() for match in FORM_FACTOR.findall(text)}))


def _form_matches(gpu_name: str, hint: str) -> bool:
    """Whether `hint` names the form factor of the GPU."""
    return any(form in form_factors(hint).split() for form in form_factors(gpu_name).split())


@cache
def _gpu_types() -> dict[str, GpuType]:
    return {row["name"]: _gpu_type(row) for row in read_data_rows("gpu_types.csv")}


def _gpu_type(row: dict[str, str]) -> GpuType:
    return GpuType(
        name=row["name"],
        vendor=row["vendor"],
        architecture=row["architecture"],
        form_factor=row["form_factor"],
        memory_gb=float(row["memory_gb"]),
        usable_memory_gb=float(row["usable_memory_mib"]) * BYTES_PER_MIB / BYTES_PER_GB,
        bandwidth_gb_per_s=float(row["bandwidth_gb_per_s"]),
        tflops={key: float(row[column]) for key, column in RATE_COLUMNS.items() if row[column]},
        link_gb_per_s=float(row["link_gb_per_s"]),
        link_kind=row["link_kind"],
        max_gpus_per_machine=int(row["max_gpus_per_machine"]),
        peer_to_peer=row["peer_to_peer"] == "yes",
        tdp_w=float(row["tdp_w"]) if row["tdp_w"] else None,
        source=row["source"],
        date_read=row["date_read"],
        verified=row["verified"] == "yes",
        notes=row["notes"],
        compute_capability=row["compute_capability"],
        pcie_gb_per_s=float(row["pcie_gb_per_s"]) if row["pcie_gb_per_s"] else None,
    )
