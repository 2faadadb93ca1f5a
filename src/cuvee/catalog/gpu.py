"""GPU types: what one GPU can do, as its maker states it."""

from dataclasses import dataclass, field

from cuvee.errors import InputError

WEIGHT_ONLY_CAPABILITY = {"fp8": 8.0, "mxfp4": 8.0, "int8": 7.5, "int4": 7.5}
"""Compute capability from which NVIDIA GPUs without that arithmetic run such weights all the same."""


@dataclass(frozen=True)
class GpuType:
    """One GPU type; every rate is dense (no sparsity), every link figure is one direction.

    Attributes
        name                 Canonical name, e.g. "H100-SXM".
        memory_gb            Memory as sold [GB, nominal].
        usable_memory_gb     Memory the driver shows to a process [10^9 bytes].
        bandwidth_gb_per_s   Memory bandwidth [GB/s].
        tflops               Dense matrix rate per precision [TFLOPS]; a precision not listed is not supported.
        link_gb_per_s        GPU to GPU inside one machine, one direction [GB/s].
        link_kind            "nvlink", "xgmi", "pcie", "ethernet" or "ici".
        max_gpus_per_machine Largest machine sold with this type [-].
        compute_capability   "9.0", "gfx942", ...; empty where the maker has no such number.
        pcie_gb_per_s        GPU to host, one direction [GB/s]; None where there is no PCIe slot.
        peer_to_peer         Whether GPUs read each other's memory over PCIe; GeForce drivers forbid it.
        source, date_read    Where the figures come from and when they were read.
        verified             False when the sheet itself was not seen.
    """

    name: str
    vendor: str
    architecture: str
    form_factor: str
    memory_gb: float
    usable_memory_gb: float
    bandwidth_gb_per_s: float
    tflops: dict[str, float] = field(hash=False)
    link_gb_per_s: float = 32.0
    link_kind: str = "pcie"
    max_gpus_per_machine: int = 8
    peer_to_peer: bool = True
    tdp_w: float | None = None
    source: str = ""
    date_read: str = ""
    verified: bool = False
    notes: str = ""
    compute_capability: str = ""
    pcie_gb_per_s: float | None = None

    @classmethod
    def without_figures(cls, name: str) -> "GpuType":
        """A GPU type of which only measured rates are known; every figure is 0, which stands for "not known"."""
        return cls(name, "", "", "", 0.0, 0.0, 0.0, {}, link_gb_per_s=0.0, link_kind="", max_gpus_per_machine=1)

    def __post_init__(self) -> None:
        sizes = (self.memory_gb, self.usable_memory_gb, self.bandwidth_gb_per_s, self.link_gb_per_s)
        if not any(sizes) and not self.tflops:
            return
        for label in (
            "memory_gb",
            "usable_memory_gb",
            "bandwidth_gb_per_s",
            "link_gb_per_s",
            "max_gpus_per_machine",
        ):
            value = getattr(self, label)
            if not value > 0:
                raise InputError(f"GPU type {self.name!r}: {label} = {value!r}", expected="a number above 0")
        if not self.tflops or any(not rate > 0 for rate in self.tflops.values()):
            raise InputError(
                f"GPU type {self.name!r}: tflops = {self.tflops!r}",
                expected="at least one precision with a rate above 0 TFLOPS",
            )

    def compute_tflops(self, precision: str) -> float:
        """Dense matrix rate used for weights of `precision` [TFLOPS].

        4-bit weights and precisions that the GPU lacks are computed in 16 bit after dequantisation,
        as engines do.
        """
        half = self.tflops.get("bf16", self.tflops.get("fp16", 0.0))
        if precision in ("bf16", "fp16", "int4", "fp32"):
            return half
        return max(self.tflops.get(precision, half), half)

    def can_hold_weights(self, precision: str) -> bool:
        """Whether engines run weights of `precision` on this GPU: in its own arithmetic, or dequantised by a kernel.

        Source      vLLM 0.11.2 documentation, supported hardware of quantisation kernels, read 2026-11: weight-only
                    fp8 and 4-bit formats need compute capability 8.0 (Ampere), AWQ and 8-bit integers 7.5 (Turing).
        """
        if precision in ("bf16", "fp16") or precision in self.tflops:
            return True
        least = WEIGHT_ONLY_CAPABILITY.get(precision)
        numbered = self.vendor == "NVIDIA" and self.compute_capability.replace(".", "", 1).isdigit()
        return least is not None and numbered and float(self.compute_capability) >= least

    @property
    def has_fast_link(self) -> bool:
        """Whether GPUs of one machine talk over a dedicated fabric instead of PCIe."""
        return self.link_kind != "pcie"
