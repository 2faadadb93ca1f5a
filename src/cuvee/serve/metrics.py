"""`/metrics`: the counters as Prometheus reads them, made when asked for.

Labels are names of the plan, of the replicas file and codes of ours: no request adds one. docs/gateway.md lists all.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from cuvee._version import __version__
from cuvee.plan.outcome.result import OUTPUT_TO_INPUT_PRICE
from cuvee.serve.counters import Counters, Histogram
from cuvee.units import SECONDS_PER_HOUR, TOKENS_PER_PRICE_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from cuvee.serve.serving import Serving

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

LABELS = ("model", "workload", "group")
"""Labels of what is counted by type and group."""

HISTOGRAMS = (
    ("ttft", "cuvee_time_to_first_token_seconds", "From arrival to the first piece of a streamed answer."),
    ("itl", "cuvee_inter_token_latency_seconds", "Between pieces of a streamed answer."),
    ("tpot", "cuvee_time_per_output_token_seconds", "Per token after the first, the mean of a streamed answer."),
    ("e2e", "cuvee_request_duration_seconds", "From arrival to the end of the answer."),
    ("queued", "cuvee_queue_duration_seconds", "From arrival to the replica."),
    ("prompt_length", "cuvee_prompt_length_tokens", "Tokens of prompts that were answered in full."),
    ("answer_length", "cuvee_answer_length_tokens", "Tokens of their answers."),
)

TOTALS = (
    ("retries", "Requests sent to another replica."),
    ("stale_connections", "Kept connections that were closed when they were used."),
    ("ejections", "Times that a replica was left out."),
    ("readmissions", "Times that one came back."),
    ("reloads", "Reloads of plan and replicas."),
    ("failed_reloads", "Reloads that were refused."),
)

ENGINE = (
    ("requests_running", "Requests that the engine computes, by its own count."),
    ("requests_waiting", "Requests that wait within the engine."),
    ("kv_cache_usage_ratio", "Part of its cache that is in use."),
)


def metrics_text(
    serving: Serving,
    records: Sequence[dict[str, Any]],
    num_processes: int = 1,
    older: Sequence[dict[str, Any]] = (),
) -> bytes:
    """All metrics in Prometheus' text format.

    Parameters
        records    What `record_of` says of each process that answered, all of them serving the same plan
                   on the same replicas.
        older      Records from before of others with this plan: they count in counters alone.
    """
    registry = CollectorRegistry()
    registry.register(_Metrics(serving, records, num_processes, older))
    return generate_latest(registry)


class _Metrics(Collector):
    """Metrics of one gateway as they are now."""

    def __init__(
        self,
        serving: Serving,
        records: Sequence[dict[str, Any]],
        num_processes: int,
        older: Sequence[dict[str, Any]],
    ) -> None:
        self.serving = serving
        self.records = records
        self.num_processes = num_processes
        self.counted = [*records, *older]
        self.counters = Counters()
        for record in self.counted:
            self.counters.add(record["counters"])
        self.served_s: float = max(record["counters"]["served_s"] for record in records)

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield from self._plan()
        yield from self._shares()
        yield from self._groups()
        yield from self._replicas()
        yield from self._costs()
        yield from self._totals()

    def _plan(self) -> Iterator[Metric]:
        plan = self.serving.plan
        yield _gauge("cuvee_build_info", "The version of the gateway.", [({"version": __version__}, 1.0)])
        labels = {"fingerprint": self.serving.fingerprint, "objective": plan.objective_name.value}
        yield _gauge("cuvee_plan_info", "The plan that is served.", [(labels, 1.0)])
        yield _gauge("cuvee_plan_served_seconds", "Time that this plan has been served.", [({}, self.served_s)])
        about = [
            ({"group": each.id, "model": each.model, "gpu": "+".join(sorted(each.config.gpu_counts)),
              "deployment": plan.deployed(each)}, each)
            for each in plan.groups
        ]  # fmt: skip
        yield _gauge("cuvee_group_info", "Groups of the plan.", [(labels, 1.0) for labels, _ in about])
        copies = [({"group": labels["group"]}, float(group.copies)) for labels, group in about]
        yield _gauge("cuvee_planned_replicas", "Replicas of each group by the plan.", copies)
        demanded = sum(row.demand_req_per_s for row in plan.assignment)
        rates = [
            ({"model": row.model, "workload": row.workload}, row.demand_req_per_s * plan.served_req_per_s / demanded)
            for row in plan.assignment
        ]
        yield _gauge("cuvee_planned_requests_per_second", "Rate that the plan is to serve.", rates)

    def _shares(self) -> Iterator[Metric]:
        serving, groups = self.serving, self.counters.groups
        planned = GaugeMetricFamily("cuvee_planned_share", "Share of the plan.", labels=LABELS)
        current = GaugeMetricFamily("cuvee_current_share", "Share with the replicas that are up.", labels=LABELS)
        achieved = GaugeMetricFamily("cuvee_achieved_share", "Share of the requests since it is served.", labels=LABELS)
        for row, (model, workload) in enumerate(serving.row_names):
            mine = [groups.get((model, workload, group)) for group in serving.groups]
            got = [each.sent - each.retried if each is not None else 0 for each in mine]
            for place, group in enumerate(serving.plan.groups):
                if group.model == model:
                    labels = (model, workload, group.id)
                    planned.add_metric(labels, serving.planned[row][place])
                    current.add_metric(labels, serving.router.shares[row][place])
                    if sum(got):
                        achieved.add_metric(labels, got[place] / sum(got))
        yield from (planned, current, achieved)

    def _groups(self) -> Iterator[Metric]:
        groups = self.counters.groups
        sent = CounterMetricFamily("cuvee_sent_requests", "Requests sent to a group.", labels=LABELS)
        retried = CounterMetricFamily("cuvee_retried_requests", "Of these, sent on to another replica.", labels=LABELS)
        ended = CounterMetricFamily("cuvee_requests", "Answers that ended.", labels=(*LABELS, "status"))
        cancelled = CounterMetricFamily("cuvee_cancelled_requests", "Clients that went before the end.", labels=LABELS)
        broken = CounterMetricFamily("cuvee_broken_answers", "Answers that were cut off in between.", labels=LABELS)
        tokens = CounterMetricFamily("cuvee_tokens", "Tokens of prompts and answers.", labels=(*LABELS, "kind"))
        for labels, mine in groups.items():
            sent.add_metric(labels, mine.sent)
            retried.add_metric(labels, mine.retried)
            cancelled.add_metric(labels, mine.cancelled)
            broken.add_metric(labels, mine.broken)
            for status, number in enumerate(mine.requests):
                if number:
                    ended.add_metric((*labels, f"{status}xx"), number)
            tokens.add_metric((*labels, "prompt"), mine.prompt_tokens)
            tokens.add_metric((*labels, "answer"), mine.answer_tokens)
        yield from (sent, retried, ended, cancelled, broken, tokens)
        for field, name, text in HISTOGRAMS:
            family = HistogramMetricFamily(name, text, labels=LABELS)
            for labels, mine in groups.items():
                histogram: Histogram = getattr(mine, field)
                bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
                family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
            yield family

    def _replicas(self) -> Iterator[Metric]:
        """Of each replica what all processes together make of it: it is up where each of them finds it up."""
        replicas = [
            ({"replica": each["name"], "group": each["group"]}, [record["replicas"][place] for record in self.records])
            for place, each in enumerate(self.records[0]["replicas"])
        ]
        for name, text, key, combined in (
            ("cuvee_replica_up", "Whether it is healthy.", "is_up", min),
            ("cuvee_replica_requests_running", "Requests that the gateway has there.", "held", sum),
            ("cuvee_replica_occupancy_ratio", "The same over what keeps it as busy as it gets.", "occupancy", max),
            ("cuvee_replica_connections", "Connections to it.", "connections", sum),
        ):
            yield _gauge(name, text, [(labels, float(combined(one[key] for one in each))) for labels, each in replicas])
        for name, text, key in (
            ("cuvee_replica_failures", "Requests and probes that failed there.", "failures"),
            ("cuvee_replica_ejections", "Times that it was left out.", "ejections"),
        ):
            family = CounterMetricFamily(name, text, labels=("replica", "group"))
            numbers: Counter[str] = Counter()
            for one in (one for record in self.counted for one in record["replicas"]):
                numbers[one["name"]] += one[key]
            for labels, _ in replicas:
                family.add_metric((labels["replica"], labels["group"]), numbers.get(labels["replica"], 0))
            yield family
        for key, text in ENGINE:
            told = [(labels, one["engine"][key]) for labels, each in replicas for one in each if key in one["engine"]]
            yield _gauge(f"cuvee_engine_{key}", text, told)

    def _costs(self) -> Iterator[Metric]:
        """Money by the plan's prices, what no group pays for spread over all; a million tokens at what came so far."""
        plan = self.serving.plan
        total = sum(group.cost_usd_per_hour for group in plan.groups) or 1.0
        hourly, per_million = [], []
        for model in dict.fromkeys(group.model for group in plan.groups):
            own = sum(group.cost_usd_per_hour for group in plan.groups if group.model == model)
            usd_per_hour = own * plan.cost_usd_per_hour / total
            labels = {"model_name": model, "cost_basis": "allocation"}
            hourly.append((labels, usd_per_hour))
            counted = [mine for (name, _, _), mine in self.counters.groups.items() if name == model]
            prompt, answer = (sum(getattr(each, f"{kind}_tokens") for each in counted) for kind in ("prompt", "answer"))
            usd = usd_per_hour * self.served_s / SECONDS_PER_HOUR * TOKENS_PER_PRICE_UNIT
            split = usd / (prompt + OUTPUT_TO_INPUT_PRICE * answer) if prompt + answer else 0.0
            for phase, method, price in (
                ("", "", usd / (prompt + answer) if prompt + answer else 0.0),
                ("prompt", "multiplier", split),
                ("generation", "multiplier", OUTPUT_TO_INPUT_PRICE * split),
            ):
                if price:
                    per_million.append(({**labels, "phase": phase, "allocation_method": method}, price))
        yield _gauge("llm_total_hourly_cost", "Price of the fleet in $ an hour.", hourly)
        yield _gauge("llm_cost_per_million_tokens", "$ per million tokens since the plan is served.", per_million)
        prices = zip(("prompt", "generation", ""), plan.usd_per_million_tokens(), strict=True)
        planned = [({"phase": phase}, price) for phase, price in prices if price]
        yield _gauge("cuvee_planned_usd_per_million_tokens", "The same at the rate of the plan.", planned)

    def _totals(self) -> Iterator[Metric]:
        unserved = CounterMetricFamily(
            "cuvee_unserved_requests", "Requests that no replica answered.", labels=("model", "workload", "reason")
        )
        for labels, number in self.counters.unserved.items():
            unserved.add_metric(labels, number)
        yield unserved
        for name, text in TOTALS:
            yield CounterMetricFamily(f"cuvee_{name}", text, value=getattr(self.counters, name))
        lost = sum(record["lost_lines"] for record in self.counted)
        yield CounterMetricFamily("cuvee_log_lines_lost", "Lines of access log or trace that no disk took.", value=lost)
        models = dict.fromkeys(model for model, _ in self.serving.row_names)
        waiting = [({"model": each}, sum(one["waiting"].get(each, 0) for one in self.records)) for each in models]
        yield _gauge("cuvee_queue_length", "Requests that wait for room.", waiting)
        for name, text, key in (
            ("cuvee_requests_under_way", "Requests that have arrived and are not over.", "under_way"),
            ("cuvee_clients", "Connections of clients.", "clients"),
        ):
            yield _gauge(name, text, [({}, sum(one[key] for one in self.records))])
        yield _gauge("cuvee_processes", "Gateways that share the port.", [({}, self.num_processes)])
        yield _gauge("cuvee_processes_counted", "Those that these figures are of.", [({}, len(self.records))])


def _gauge(name: str, text: str, values: Sequence[tuple[dict[str, str], float]]) -> GaugeMetricFamily:
    """A gauge with its values by labels, the same labels in each."""
    family = GaugeMetricFamily(name, text, labels=list(values[0][0]) if values else ())
    for labels, value in values:
        family.add_metric(list(labels.values()), value)
    return family
