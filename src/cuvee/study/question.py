"""What a study is asked, by names as users write them, and the studies that answer it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import find_gpu, load_gpu_types
from cuvee.catalog.model import WEIGHT_BYTES, ModelSpec, check_precision
from cuvee.catalog.models import load_model
from cuvee.catalog.offer import OfferSet
from cuvee.catalog.offers import MARKET, load_offers
from cuvee.errors import InputError
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.engine import find_engine
from cuvee.profile.measured_use import notes_on_use
from cuvee.profile.providers import known_first, measured_table
from cuvee.study.performance import Performance, performance
from cuvee.study.study import DEFAULT_LOAD, Asked, Study, priced, require_entries
from cuvee.workload.classify import classify
from cuvee.workload.mixes import load_mix, mix_names
from cuvee.workload.readers import load_trace
from cuvee.workload.records import MAX_TOKENS_PER_REQUEST, Demand, WorkloadType, type_names

DEFAULT_SHARES = {"llama-3-8b": 0.8, "llama-3-70b": 0.2}
"""The paper's models, with the shares in which its fleets for both serve them [-]."""

DEFAULT_OFFERS = ("paper", "market")

PAPER_GPUS = ("RTX4090", "A40", "A6000", "L40", "A100-80GB-SXM", "H100-SXM")
NEWER_GPUS = ("L40S", "RTX5090", "RTXPRO6000-WS", "RTXPRO6000-Server", "H200-SXM", "B200-SXM", "MI300X")
"""GPU types of a study of the market: the paper's, and those that came after or beside them."""

ALL_GPUS = "all"
PAPER_PRICES = "paper-avail-1"
"""The paper's prices are one list; its four sets differ in stock, which a study does not look at."""

LENGTHS = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*[x/,]\s*(\d{1,9}(?:\.\d{1,3})?)", re.ASCII)


@dataclass(frozen=True)
class StudyQuestion:
    """What to compare; nothing is looked up before `answer`.

    Attributes
        shares        Models by name or config.json, with their share of all requests, None for equal shares [-].
        gpus          GPU types; "all" for all on offer, which is the default but for the market: there it is those of
                      `PAPER_GPUS` and `NEWER_GPUS`.
        offers        Offer sets or files, each a study of its own; "paper" for the paper's prices. By default those of
                      `DEFAULT_OFFERS` that have anything to serve the models with.
        trace, mix    Where workload types come from, at most one of these and `workloads`; the paper's types and mixes
                      where there is none.
        types         Number of types of the trace [-].
        workloads     Types by mean lengths, such as "2455x510" [tokens].
        precisions    Of the weights, the best of them; as released where none is given.
        throughput    Files of measured rates, or of fitted constants.
        spot          Whether offers that may be taken back count.
    """

    shares: tuple[tuple[str, float | None], ...] = tuple(DEFAULT_SHARES.items())
    gpus: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    trace: str | None = None
    mix: str | None = None
    types: int | None = None
    workloads: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    engine: str = "vllm"
    throughput: tuple[str, ...] = ()
    spot: bool = False
    load: float = DEFAULT_LOAD

    def answer(self) -> "Answer":
        """The studies, one for each set of offers; replicas are rated once for all of them.

        Raises      InputError, UnknownNameError: a name or file that cannot be used.
        """
        models, shares = self._models()
        demands, workloads = self._requests()
        names = [PAPER_PRICES if name.strip().lower() == "paper" else name for name in self.offers or DEFAULT_OFFERS]
        offers = [load_offers(name) for name in dict.fromkeys(names)]
        asked = [Asked(shares, self._gpus(each), demands, workloads, self.load) for each in offers]
        gpus = tuple(dict.fromkeys(gpu for each in asked for gpu in each.gpus))
        engine = find_engine(self.engine)
        estimates = AnalyticProvider({model.name: model for model in models}, load_gpu_types(), engine)
        provider = known_first(self.throughput, estimates)
        performances = tuple(
            performance(model, gpus, workloads, provider=provider, estimates=estimates, precisions=self.precisions)
            for model in models
        )
        studies = tuple(
            priced(one, performances, each, spot=self.spot) for one, each in zip(asked, offers, strict=True)
        )
        wanted = studies if self.offers else tuple(study for study in studies if study.entries)
        for study in wanted or studies:
            require_entries(study)
        table, replicas = measured_table(provider), [each.table for each in performances]
        notes = () if table is None else notes_on_use(table, replicas, [gpu.name for gpu in gpus])
        return Answer(wanted, performances, notes)

    def _models(self) -> tuple[list[ModelSpec], dict[str, float]]:
        models = [load_model(name) for name, _ in self.shares]
        names = [model.name for model in models]
        given = [share for _, share in self.shares]
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"models {', '.join(names) or 'none'}", expected="each model once", remedy="leave out what repeats"
            )
        for precision in self.precisions:
            check_precision(precision, WEIGHT_BYTES)
        if all(share is None for share in given):
            return models, dict.fromkeys(names, 1 / len(names))
        known = [share for share in given if share is not None]
        if len(known) < len(given) or min(known) <= 0 or abs(sum(known) - 1) > 1e-6:
            shown = ", ".join(f"{name}={share}" for name, share in zip(names, given, strict=True))
            raise InputError(
                f"models {shown}",
                expected="a share above 0 for each model, summing to 1, or none at all",
                remedy="e.g. --model llama-3-8b=0.8 --model llama-3-70b=0.2",
            )
        return models, dict(zip(names, known, strict=True))

    def _requests(self) -> tuple[tuple[Demand, ...], tuple[WorkloadType, ...]]:
        """Mixes, and the types of all of them."""
        if sum((self.trace is not None, self.mix is not None, bool(self.workloads))) > 1:
            raise InputError(
                "more than one of a trace, a mix and workload types",
                expected="one of them",
                remedy="leave out the rest",
            )
        if self.types is not None and self.trace is None:
            raise InputError("types without a trace", expected="the trace they are for", remedy="give it with --trace")
        if self.trace is not None:
            demands = [classify(load_trace(self.trace), types=self.types)]
        elif self.workloads:
            demands = [_demand_of(self.workloads)]
        else:
            demands = [load_mix(name) for name in ([self.mix] if self.mix is not None else mix_names())]
        kinds = {kind.name: kind for demand in demands for kind in demand.types}
        return tuple(demands), tuple(kinds.values())

    def _gpus(self, offers: OfferSet) -> tuple[GpuType, ...]:
        """GPU types to compare on `offers`."""
        asked = [name for name in self.gpus if name.strip().lower() != ALL_GPUS]
        if asked:
            found = [find_gpu(name) for name in asked]
        elif offers.name == MARKET and not self.gpus:
            found = [find_gpu(name) for name in (*PAPER_GPUS, *NEWER_GPUS)]
        else:
            known = load_gpu_types()
            found = [gpu for name, gpu in known.items() if any(offer.gpu == name for offer in offers.offers)]
        return tuple(gpu for gpu in dict.fromkeys(found) if gpu.compute_tflops("bf16") > 0)


@dataclass(frozen=True, eq=False)
class Answer:
    """Studies of the same requests at the prices of each set of offers, and what they all rest on.

    Attributes
        notes    What of a table of measured rates was not used.
    """

    studies: tuple[Study, ...]
    performances: tuple[Performance, ...]
    notes: tuple[str, ...] = ()


def _demand_of(texts: Sequence[str]) -> Demand:
    """Types by their lengths, all equally frequent."""
    lengths = [_lengths(text) for text in texts]
    if len(set(lengths)) < len(lengths):
        raise InputError(f"workloads {', '.join(texts)}", expected="each once", remedy="leave out what repeats")
    kinds = tuple(WorkloadType(name, *pair) for name, pair in zip(type_names(lengths), lengths, strict=True))
    return Demand(kinds, (1.0,) * len(kinds), name="equal shares")


def _lengths(text: str) -> tuple[float, float]:
    match = LENGTHS.fullmatch(text.strip())
    pair = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not all(0 < tokens <= MAX_TOKENS_PER_REQUEST for tokens in pair):
        raise InputError(
            f"workload {text!r}",
            expected="PROMPTxANSWER, mean lengths above 0 [tokens]",
            remedy="e.g. --workload 2455x510",
        )
    return pair
