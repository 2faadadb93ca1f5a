"""How far AIConfigurator's kernel tables are from measurements, replica by replica, and which are sound by that."""

from dataclasses import dataclass

from cuvee.errors import InputError

MOST_MEDIAN = 0.20
"""Largest median error of sound tables [-]: rates that differ by more are clearly ordered, as `cuvee score` says."""

MOST_BAND = 0.40
"""Widest error band of sound tables [-]."""

FEWEST_POINTS = 8

COMMON_BAND = 0.24
"""Error band of all sound kinds of replicas together [-]: no rate is said to be surer, for eight points of one model
are few."""


@dataclass(frozen=True)
class Served:
    """What served: an engine without its version, and one replica of one stage."""

    engine: str
    gpu: str
    tensor_parallel_size: int
    precision: str
    kv_precision: str

    def __str__(self) -> str:
        precisions = f"{self.precision} with a {self.kv_precision} cache"
        return f"{self.engine} on {self.gpu} TP{self.tensor_parallel_size}, {precisions}"


@dataclass(frozen=True)
class KernelError:
    """Errors on the measured points of one kind of replica.

    Attributes
        num_points    [-].
        median        Of |predicted / measured - 1| [-].
        band          Distance that four points in five are within [-], see `cuvee.profile.bands`.
        bias          Median of predicted / measured [-].
    """

    served: Served
    num_points: int
    median: float
    band: float
    bias: float

    @property
    def stated_band(self) -> float:
        """Error band that rates of such replicas carry [-]."""
        return max(self.band, COMMON_BAND)

    @property
    def reason_against(self) -> str:
        """Why such tables are not sound; "" where they are."""
        points = f"{self.num_points} measured points"
        if self.num_points < FEWEST_POINTS:
            return f"only {points}, {self.median:.0%} off in the median"
        if self.median > MOST_MEDIAN:
            return f"{self.median:.0%} off in the median of {points}, {self.bias:.2f} times the measured rate"
        if self.band > MOST_BAND:
            return f"four in five of {points} are within {self.band:.0%} only"
        return ""


def _of(engine: str, gpu: str, rows: str) -> list[KernelError]:
    """Rows "TP weights cache points median band bias", one a line."""
    found = []
    for line in rows.strip().splitlines():
        size, weights, cache, count, *figures = line.split()
        served = Served(engine, gpu, int(size), weights, cache)
        found.append(KernelError(served, int(count), *map(float, figures)))
    return found


ERRORS: dict[Served, KernelError] = {
    each.served: each
    for each in (
        *_of("tensorrt-llm", "A100-80GB-SXM", """
            1 bf16 bf16 26 0.10 0.25 1.10
            2 bf16 bf16  8 0.10 0.15 0.92
            4 bf16 bf16  9 0.29 0.35 1.29
            8 bf16 bf16  9 0.34 0.56 1.34
        """),
        *_of("tensorrt-llm", "H100-SXM", """
            1 bf16 bf16 20 0.13 0.28 1.11
            2 bf16 bf16  8 0.03 0.05 1.00
            4 bf16 bf16  9 0.30 0.37 1.30
            8 bf16 bf16  8 0.51 0.84 1.46
            1 fp8  bf16  3 1.23 1.50 2.23
            1 fp8  fp8  24 0.09 0.33 1.03
            2 fp8  fp8   9 0.06 0.17 1.05
            4 fp8  fp8   9 0.18 0.39 1.11
            8 fp8  fp8   9 0.19 0.47 0.96
        """),
        *_of("tensorrt-llm", "H200-SXM", """
            1 fp8  fp8  27 0.08 0.13 1.07
            2 fp8  fp8   9 0.18 0.24 1.18
            4 fp8  fp8   9 0.14 0.33 1.11
            8 fp8  fp8   9 0.18 0.37 0.82
        """),
        *_of("tensorrt-llm", "L40S", """
            1 fp8  fp8  18 0.04 0.09 1.00
            4 fp8  fp8   9 0.48 1.65 0.52
            8 fp8  fp8   9 0.85 7.33 0.15
        """),
        *_of("sglang", "A100-80GB-SXM", "1 bf16 bf16 2 0.10 0.16 1.06"),
        *_of("sglang", "H100-SXM", """
            1 bf16 bf16  2 0.83 1.10 1.83
            1 fp8  bf16  7 1.06 1.35 2.06
        """),
        *_of("sglang", "H200-SXM", """
            1 fp8  fp8  16 0.19 0.24 1.19
            2 fp8  fp8  12 0.22 0.39 1.22
            4 fp8  fp8   8 0.21 0.61 1.21
            8 fp8  fp8   8 0.34 0.84 1.34
        """),
        *_of("vllm", "A100-80GB-SXM", "1 bf16 bf16 6 0.22 0.39 1.10"),
        *_of("vllm", "H100-SXM", "1 bf16 bf16 6 0.83 0.89 1.83"),
    )
}  # fmt: skip
"""Of aiconfigurator-core 0.12.0 on public figures of dense models, in the newest tables of each engine it has, which
are not those of the versions measured. Reproduced by: python -m tests.profile.imports.kernel_comparison"""

NOT_COMPARED = "no public figures to check against"


def reason_against(served: Served) -> str:
    """What speaks against the tables for `served`: what was measured, or that nothing was; "" where they are sound."""
    found = ERRORS.get(served)
    return found.reason_against if found else NOT_COMPARED


def sound(engine: str) -> list[Served]:
    """What the tables are sound for under an engine."""
    return [served for served, error in ERRORS.items() if served.engine == engine and not error.reason_against]


def require_sound(served: Served) -> KernelError:
    """The errors of `served`; raises InputError with what was measured where its tables are not sound."""
    reason = reason_against(served)
    if not reason:
        return ERRORS[served]
    limits = f"{MOST_MEDIAN:.0%} in the median and {MOST_BAND:.0%} for four points in five, of {FEWEST_POINTS} or more"
    names = ", ".join(
        f"{each.gpu} TP{each.tensor_parallel_size} {each.precision}/{each.kv_precision}"
        for each in sound(served.engine)
    )
    raise InputError(
        f"kernel tables for {served}: {reason}",
        expected=f"errors of at most {limits}: {names or f'none with {served.engine}'}",
        remedy="leave it to the model, or measure it: cuvee calibrate POINTS",
    )


def engine_family(name: str) -> str:
    """Engine of settings without the version: "tensorrt-llm" of "tensorrt-llm-0.14"."""
    return name.rpartition("-")[0]
