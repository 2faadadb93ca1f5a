"""What a file of results states of one load point, before anything is known about what served it."""

from dataclasses import dataclass, field

from cuvee.profile.table import Provenance

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Latency:
    """A latency over the requests of one load point.

    Attributes
        mean_s           [s].
        percentiles_s    [s] by percentile, those of `PERCENTILES` that the file states.
    """

    mean_s: float
    percentiles_s: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """What served: each field as stated, None where nobody did.

    Attributes
        gpu, model, engine, engine_version, weights, kv    Names as written.
        tp, pp, replicas                                   GPUs of a stage, stages, replicas [-].
    """

    gpu: str | None = None
    model: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    tp: int | None = None
    pp: int | None = None
    replicas: int | None = None
    weights: str | None = None
    kv: str | None = None

    @property
    def num_gpus(self) -> int:
        """GPUs of all replicas [-], 1 where nobody said more."""
        return (self.tp or 1) * (self.pp or 1) * (self.replicas or 1)


@dataclass(frozen=True)
class StatedLoad:
    """How requests came, as far as a file says.

    Attributes
        is_known                  Whether the file says how; if it does, and both others are None, all came at once.
        concurrency               Requests held under way [-].
        request_rate_req_per_s    Rate of arrivals [req/s].
    """

    is_known: bool = False
    concurrency: float | None = None
    request_rate_req_per_s: float | None = None

    def __str__(self) -> str:
        if self.request_rate_req_per_s is not None:
            return f"{self.request_rate_req_per_s:g} req/s"
        if self.concurrency is not None:
            return f"{self.concurrency:g} under way"
        return "all at once" if self.is_known else "not stated"


@dataclass(frozen=True)
class LoadPoint:
    """One load point as its file states it.

    Attributes
        place                          Where it stands, e.g. "run.json" or "run.json: benchmarks[2]".
        file_format                    Name of the format, e.g. "GuideLLM".
        tool                           Load generator and version, where stated.
        input_tokens, output_tokens    Mean lengths of the requests that were answered [tokens].
        served_name                    What the server calls the model; it may call it anything.
        rate_req_per_s                 Requests answered over the time it took [req/s].
        output_tokens_per_s            [tokens/s].
        ttft, tpot, end_to_end         TPOT leaves out the first token.
        inter_token                    Time between pieces of an answer.
        completed, failed              Requests [-]; those completed are answered in what was measured.
        warm_up_completed              Requests answered before it [-], where the file says how many.
        num_gpus                       Of the whole deployment, where counted beside its parallelism [-].
        duration_s                     Of what was measured [s].
        id, group, note, source        Of a table of points.
        date                           Of the run, e.g. "2026-09-30"; "" where the file does not say.
        provider                       Who gives the figures: of a file of our own it may be a model.
        relative_error                 Half-width of their error band [-], where stated.
        is_saturated                   Whether more requests under way bring no higher rate; None where nobody says.
        is_doubtful                    Whether the file itself doubts it.
        remarks                        What the reader noticed and left aside.
        doubts                         What the reader noticed and that speaks against the figures.
    """

    place: str
    file_format: str
    input_tokens: float
    output_tokens: float
    load: StatedLoad
    deployment: Deployment = Deployment()
    served_name: str | None = None
    tool: str = ""
    rate_req_per_s: float | None = None
    output_tokens_per_s: float | None = None
    ttft: Latency | None = None
    tpot: Latency | None = None
    end_to_end: Latency | None = None
    inter_token: Latency | None = None
    completed: int | None = None
    failed: int | None = None
    warm_up_completed: int | None = None
    duration_s: float | None = None
    num_gpus: int | None = None
    id: str = ""
    group: str = ""
    note: str = ""
    source: str = ""
    date: str = ""
    provider: Provenance = Provenance.MEASURED
    relative_error: float | None = None
    is_saturated: bool | None = None
    is_doubtful: bool = False
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
