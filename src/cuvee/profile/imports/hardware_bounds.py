"""What the data sheet allows: load points above it are impossible for this model on these GPUs.

Notes
    A weight is read once a step and a token multiplies with each weight it uses once; attention, activations, links
    and every inefficiency are left out, so what breaks a bound is wrong, whatever the engine: the setup, the file, or
    an assumption of the bounds (no prefix cache, no speculative decoding).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import UNQUANTIZED_BYTES, WEIGHT_BYTES, ModelSpec
from cuvee.profile.imports.load_point import Deployment, LoadPoint, StatedLoad
from cuvee.units import BYTES_PER_GB, FLOPS_PER_TFLOPS

HALF = ("bf16", "fp16")


@dataclass(frozen=True)
class Hardware:
    """What served, looked up; precisions are names that the model knows."""

    gpu: GpuType
    model: ModelSpec
    precision: str
    kv_precision: str

    @property
    def peak_flops(self) -> float:
        """Highest matrix rate of one GPU [FLOP/s]; for weights below 16 bit that of its fastest format."""
        fastest = self.gpu.compute_tflops(self.precision) if self.precision in HALF else max(self.gpu.tflops.values())
        return fastest * FLOPS_PER_TFLOPS

    @property
    def bandwidth(self) -> float:
        """Memory bandwidth of one GPU [B/s]."""
        return self.gpu.bandwidth_gb_per_s * BYTES_PER_GB

    @property
    def read_bytes(self) -> float:
        """Weights that a step of one token reads [B]: of the experts those that it uses, and the head."""
        model = self.model
        unused = model.expert_params * (1 - model.expert_share_per_token) * WEIGHT_BYTES[self.precision]
        return model.layer_weight_bytes(self.precision) - unused + model.embedding_params * UNQUANTIZED_BYTES

    def request_flops(self, input_tokens: float, output_tokens: float) -> float:
        """Arithmetic of a request [FLOP]: layers for every token but the last, the head for every answer token."""
        layers = self.model.layer_params - self.model.expert_params * (1 - self.model.expert_share_per_token)
        tokens = max(input_tokens + output_tokens - 1, 1.0)
        return 2 * layers * tokens + 2 * self.model.embedding_params * output_tokens

    def cache_bytes(self, tokens: float) -> float:
        """Cache of a sequence [B]."""
        return self.model.kv_bytes(tokens, self.kv_precision)


def impossible_rate(
    rate_req_per_s: float | None, lengths: tuple[float, float], served: Deployment, concurrency: float | None,
    hardware: Hardware,
) -> str:  # fmt: skip
    """The first bound that a rate alone breaks [req/s], of requests of these mean lengths [tokens]; "" of none."""
    point = LoadPoint("", "", *lengths, StatedLoad(True, concurrency), served, rate_req_per_s=rate_req_per_s)
    return next(impossible(point, hardware), "")


def impossible(point: LoadPoint, hardware: Hardware) -> Iterator[str]:
    """Bounds of the data sheet that a completed load point breaks, one sentence each, with the arithmetic."""
    yield from _arithmetic(point, hardware)
    yield from _bandwidth(point, hardware)
    yield from _tpot(point, hardware)
    yield from _ttft(point, hardware)


def _shape(point: LoadPoint) -> tuple[int, int, int]:
    """GPUs of a stage, GPUs of a replica, replicas [-]."""
    tp, pp = point.deployment.tp or 1, point.deployment.pp or 1
    return tp, tp * pp, point.deployment.replicas or 1


def _request_rate(point: LoadPoint) -> float | None:
    if point.rate_req_per_s is None and point.output_tokens_per_s is not None:
        return point.output_tokens_per_s / point.output_tokens
    return point.rate_req_per_s


def _arithmetic(point: LoadPoint, hardware: Hardware) -> Iterator[str]:
    rate = _request_rate(point)
    if rate is None:
        return
    _, gpus, replicas = _shape(point)
    flops = hardware.request_flops(point.input_tokens, point.output_tokens)
    most = gpus * replicas * hardware.peak_flops / flops
    if rate > most:
        yield (
            f"{rate:.4g} req/s: a request takes {_tera(flops)}FLOP, and {gpus * replicas} x "
            f"{_tera(hardware.peak_flops)}FLOP/s allow {most:.4g} req/s"
        )


def _bandwidth(point: LoadPoint, hardware: Hardware) -> Iterator[str]:
    """Answer tokens a second: each reads the cache of its sequence, and its share of a reading of the weights."""
    rate = _request_rate(point)
    if rate is None:
        return
    stage, gpus, replicas = _shape(point)
    tokens_per_s = rate * max(point.output_tokens - 1, 0.0) / replicas
    cache = hardware.cache_bytes(point.input_tokens + point.output_tokens / 2)
    seconds = cache / (gpus * hardware.bandwidth)
    text = f"{_giga(cache)}B of cache over {gpus} x {_giga(hardware.bandwidth)}B/s"
    held = point.load.concurrency
    if held is not None:
        share = held / replicas
        seconds += hardware.read_bytes / (stage * hardware.bandwidth * share)
        text += (
            f" and {_giga(hardware.read_bytes)}B of weights over {stage} x {_giga(hardware.bandwidth)}B/s for "
            f"{share:.4g} sequences"
        )
    if tokens_per_s * seconds > 1:
        yield (
            f"{tokens_per_s:,.0f} answer tokens/s a replica: each takes {text}, "
            f"which allows {1 / seconds:,.0f} tokens/s"
        )


def _tpot(point: LoadPoint, hardware: Hardware) -> Iterator[str]:
    if point.tpot is None:
        return
    stage, _, _ = _shape(point)
    least_s = hardware.read_bytes / (stage * hardware.bandwidth)
    if point.tpot.mean_s < least_s:
        yield (
            f"TPOT {point.tpot.mean_s * 1e3:.4g} ms: {_giga(hardware.read_bytes)}B of weights over {stage} x "
            f"{_giga(hardware.bandwidth)}B/s take {least_s * 1e3:.4g} ms"
        )


def _ttft(point: LoadPoint, hardware: Hardware) -> Iterator[str]:
    if point.ttft is None:
        return
    _, gpus, _ = _shape(point)
    flops = hardware.request_flops(point.input_tokens, 1.0)
    least_s = flops / (gpus * hardware.peak_flops)
    if point.ttft.mean_s < least_s:
        yield (
            f"TTFT {point.ttft.mean_s * 1e3:.4g} ms: a prompt takes {_tera(flops)}FLOP, on {gpus} x "
            f"{_tera(hardware.peak_flops)}FLOP/s {least_s * 1e3:.4g} ms"
        )


def _tera(value: float) -> str:
    return f"{value / FLOPS_PER_TFLOPS:.4g} T"


def _giga(value: float) -> str:
    return f"{value / BYTES_PER_GB:.4g} G"
