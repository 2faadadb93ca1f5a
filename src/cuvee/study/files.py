"""A study as plain data: JSON with everything, CSV with one row for each replica and workload type."""

import math
from collections.abc import Sequence
from typing import Any

from cuvee._version import __version__
from cuvee.catalog.tables import csv_text
from cuvee.study.comparison import Comparison
from cuvee.study.entry import Entry, PercentileLatency
from cuvee.study.finding import Case, Finding, Observation
from cuvee.study.leads import lead
from cuvee.study.observations import gains, observations
from cuvee.study.performance import PERCENTILES, Performance
from cuvee.study.study import SCHEMA_VERSION, Study
from cuvee.study.under_load import load_curves

Record = dict[str, Any]


def study_record(studies: Sequence[Study], performances: Sequence[Performance] = ()) -> Record:
    """What `cuvee benchmark --json` prints; with `performances` also the latencies over load of what tables show."""
    return {
        "schema_version": SCHEMA_VERSION,
        "cuvee_version": __version__,
        "studies": [{**_study(study), **_over_load(study, performances)} for study in studies],
    }


def _over_load(study: Study, performances: Sequence[Performance]) -> Record:
    if not performances:
        return {}
    records = [
        {
            "model": entry.model,
            "workload": entry.workload.name,
            "gpu": entry.gpu,
            "configuration": entry.config.parallel_label,
            "load": point.load,
            "rate_req_per_s": entry.rate_req_per_s * point.load,
            **{key: value for each in point.latencies for key, value in _times(each).items()},
        }
        for entry, points in load_curves(study, performances).items()
        for point in points
    ]
    return {"latency_over_load": records}


def study_csv(studies: Sequence[Study]) -> str:
    """One row for each set of offers, replica and workload type, with the fields of `entry_record`."""
    rows = [{"offers": study.offers.name, **entry_record(entry)} for study in studies for entry in study.entries]
    cells = ([f"{value:.6g}" if isinstance(value, float) else value for value in row.values()] for row in rows)
    return csv_text(list(rows[0]), cells)


def entry_record(entry: Entry) -> Record:
    """One figure with all that it rests on; None where a figure is not known."""
    return {
        "model": entry.model,
        "gpu": entry.gpu,
        "num_gpus": entry.config.num_gpus,
        "tensor_parallel_size": entry.config.stages[0].tensor_parallel_size,
        "pipeline_parallel_size": len(entry.config.stages),
        "precision": entry.config.precision,
        "workload": entry.workload.name,
        "input_tokens": entry.workload.input_tokens,
        "output_tokens": entry.workload.output_tokens,
        "rate_req_per_s": entry.rate_req_per_s,
        "relative_error": entry.relative_error if entry.error_known else None,
        "assumed_band": entry.band,
        "extrapolated": entry.extrapolated,
        "provenance": entry.provenance.value,
        "rate_source": entry.rate_source.source,
        "rate_date": entry.rate_source.date,
        "price_usd_per_hour": entry.price_usd_per_hour,
        "req_per_s_per_usd_per_hour": entry.efficiency,
        "usd_per_million_requests": entry.usd_per_million_requests,
        "seller": entry.offer.seller,
        "region": entry.offer.region,
        "instance": entry.offer.instance,
        "machine_gpus": entry.offer.machine_gpus,
        "spot": entry.offer.spot,
        "price_as_of": entry.offer.as_of,
        "price_source": entry.offer.source,
        "load": entry.load,
        "usd_per_million_requests_at_load": entry.usd_per_million_requests_at_load,
        **{key: value for percentile in PERCENTILES for key, value in _latency(entry, percentile).items()},
    }


def _latency(entry: Entry, percentile: float) -> Record:
    usd = _finite(entry.latency_usd(percentile))
    return {**_times(entry.latency_at(percentile)), f"latency_p{percentile:g}_usd": usd}


def _times(found: PercentileLatency) -> Record:
    values = {"ttft": found.ttft_s, "tpot": found.tpot_s, "e2e": found.e2e_s}
    return {f"{name}_p{found.percentile:g}_s": _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    """The value, or None: JSON has no word for what is not known or without bound."""
    return value if math.isfinite(value) else None


def _study(study: Study) -> Record:
    return {
        "offers": study.offers.name,
        "prices_as_of": study.prices_as_of,
        "prices_source": study.offers.source,
        "engine": study.engine.name,
        "engine_source": study.engine.source,
        "load": study.asked.load,
        "models": [{"model": name, "share": share} for name, share in study.asked.shares.items()],
        "gpus": [gpu.name for gpu in study.gpus],
        "workloads": [kind.name for kind in study.asked.workloads],
        "mixes": [demand.name for demand in study.asked.demands],
        "notes": [*study.notes, *study.offers.notes],
        "leads": [
            record
            for model in study.models
            for kind in study.asked.workloads
            if (record := _lead(study, model.name, kind.name)) is not None
        ],
        "observations": [_observation(each) for each in observations(study)],
        "assignment": [
            {
                "model": gain.model or None,
                "mix": gain.mix,
                "gpus": list(gain.gpus),
                "best_single_gpu": gain.single_gpu,
                "over_single": _comparison(gain.over_single),
                "over_blind": gain.over_blind,
            }
            for gain in gains(study)
        ],
        "entries": [entry_record(entry) for entry in study.entries],
    }


def _lead(study: Study, model: str, workload: str) -> Record | None:
    found = lead(study, model, workload)
    if found is None:
        return None
    return {
        "model": model,
        "workload": workload,
        "cheapest": found.first.gpu,
        "configuration": found.first.config.parallel_label,
        "price_as_of": found.first.offer.as_of,
        "usd_per_million_requests": found.first.usd_per_million_requests,
        "over_next": _comparison(found.over_next) if found.over_next else None,
        "over_last": _comparison(found.over_last) if found.over_last else None,
        "tied_with": list(found.ties),
        "cheapest_not_extrapolated": found.covered.gpu if found.covered else None,
        "cheapest_with_known_error": found.backed.gpu if found.backed else None,
        "cheapest_of_newest_year": found.newest.gpu if found.newest else None,
        "ranking": [
            {
                "gpu": entry.gpu,
                "configuration": entry.config.parallel_label,
                "req_per_s_per_usd_per_hour": entry.efficiency,
                "share_of_first": entry.efficiency / found.first.efficiency,
                "price_usd_per_gpu_hour": entry.offer.price_usd_per_gpu_hour,
                "price_as_of": entry.offer.as_of,
                "price_to_lead_usd_per_gpu_hour": found.price_to_lead_usd(entry),
            }
            for entry in found.ranking
        ],
    }


def _comparison(comparison: Comparison) -> Record:
    return {
        "factor": comparison.factor,
        "low": comparison.low,
        "high": comparison.high,
        "chance_ahead": comparison.chance,
        "tie": comparison.is_tie,
    }


def _observation(observation: Observation) -> Record:
    return {
        "title": observation.title,
        "verdict": observation.verdict.value,
        "largest": _case(observation.largest),
        "largest_by_model": [_case(case) for case in observation.largest_by_model],
        "median_factor": observation.median,
        "paper_factor": observation.paper,
        "paper_factor_of": observation.paper_about,
        "findings": [_finding(finding) for finding in observation.findings],
    }


def _finding(finding: Finding) -> Record:
    return {
        "claim": finding.claim,
        "verdict": finding.verdict.value,
        "cases_as_claimed": finding.num_as_claimed,
        "cases_level": finding.num_level,
        "cases_outside_the_error": finding.num_clear,
        "cases": [_case(case) for case in finding.cases],
    }


def _case(case: Case) -> Record:
    return {
        "model": case.model or None,
        "where": case.where,
        "ahead": case.ahead,
        "behind": case.behind,
        **_comparison(case.comparison),
    }
