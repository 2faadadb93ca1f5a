"""`/metrics`: the counters as Prometheus reads them, made when asked for."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from cuvee.serve.counters import BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from cuvee.serve.counters import GroupCounters, Histogram
    from cuvee.serve.gateway import Gateway

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

LABELS = ("model", "workload", "group")
"""Labels of what is counted by type and group: their values come from the plan, and from no request."""

TIMES = (
    ("ttft", "time_to_first_token", "From arrival to the first piece of the answer."),
    ("itl", "inter_token", "Between pieces of an answer."),
    ("e2e", "request", "From arrival to the end of the answer."),
    ("queued", "queue", "From arrival to the replica."),
)


def metrics_text(gateway: Gateway) -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Metrics(gateway))
    return generate_latest(registry)


class _Metrics(Collector):
    """Metrics of one gateway as they are now."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        groups = self.gateway.counters.groups
        yield from _counts(groups)
        for field, name, text in TIMES:
            family = HistogramMetricFamily(f"cuvee_{name}_seconds", text, labels=LABELS)
            for labels, mine in groups.items():
                histogram: Histogram = getattr(mine, field)
                counts = accumulate(histogram.counts)
                buckets = list(zip([*map(str, BOUNDS_S), "+Inf"], counts, strict=True))
                family.add_metric(labels, buckets, histogram.sum_s)
            yield family
        yield from self._shares()
        yield from self._replicas()
        yield from self._totals()

    def _shares(self) -> Iterator[Metric]:
        serving, counters = self.gateway.serving, self.gateway.counters
        planned = GaugeMetricFamily("cuvee_planned_share", "Share of the plan.", labels=LABELS)
        wanted = GaugeMetricFamily("cuvee_current_share", "Share with the replicas that are up.", labels=LABELS)
        achieved = GaugeMetricFamily("cuvee_achieved_share", "Share of the requests so far.", labels=LABELS)
        for row, (model, workload) in enumerate(serving.row_names):
            sent = [counters.groups.get((model, workload, group)) for group in serving.groups]
            total = sum(each.sent for each in sent if each is not None)
            for place, (group, mine) in enumerate(zip(serving.groups, sent, strict=True)):
                labels = (model, workload, group)
                planned.add_metric(labels, serving.planned[row][place])
                wanted.add_metric(labels, serving.router.shares[row][place])
                if total:
                    achieved.add_metric(labels, (mine.sent if mine is not None else 0) / total)
        yield from (planned, wanted, achieved)

    def _replicas(self) -> Iterator[Metric]:
        serving = self.gateway.serving
        up = GaugeMetricFamily("cuvee_replica_up", "Whether it is healthy.", labels=("replica", "group"))
        held = GaugeMetricFamily("cuvee_replica_requests", "Requests it holds.", labels=("replica", "group"))
        for replica in serving.replicas:
            up.add_metric((replica.name, replica.group), float(replica.is_up))
            held.add_metric((replica.name, replica.group), replica.held)
        waiting = GaugeMetricFamily("cuvee_queue_length", "Requests that wait for room.", labels=("model",))
        for state in {id(each): each for each in serving.models.values()}.values():
            waiting.add_metric((state.model,), state.line.length)
        yield from (up, held, waiting)
        yield GaugeMetricFamily(
            "llm_total_hourly_cost", "Price of the fleet in $ an hour.", value=serving.plan.cost_usd_per_hour
        )

    def _totals(self) -> Iterator[Metric]:
        counters = self.gateway.counters
        refused = CounterMetricFamily("cuvee_refused", "Requests answered with an error of ours.", labels=("code",))
        for code, number in counters.refused.items():
            refused.add_metric((code,), number)
        yield refused
        for name, text in (
            ("retries", "Requests sent to another replica."),
            ("stale_connections", "Kept connections that were closed when they were used."),
            ("ejections", "Times that a replica was left out."),
            ("readmissions", "Times that one came back."),
            ("reloads", "Reloads of plan and replicas."),
            ("failed_reloads", "Reloads that were refused."),
        ):
            yield CounterMetricFamily(f"cuvee_{name}", text, value=getattr(counters, name))


def _counts(groups: dict[tuple[str, str, str], GroupCounters]) -> Iterator[Metric]:
    requests = CounterMetricFamily("cuvee_requests", "Answers that ended.", labels=(*LABELS, "status"))
    cancelled = CounterMetricFamily("cuvee_cancelled", "Clients that went before the end.", labels=LABELS)
    tokens = CounterMetricFamily("cuvee_tokens", "Tokens of prompts and answers.", labels=(*LABELS, "kind"))
    for labels, mine in groups.items():
        for status, number in enumerate(mine.requests):
            if number:
                requests.add_metric((*labels, f"{status}xx"), number)
        cancelled.add_metric(labels, mine.cancelled)
        tokens.add_metric((*labels, "prompt"), mine.prompt_tokens)
        tokens.add_metric((*labels, "answer"), mine.answer_tokens)
    yield from (requests, cancelled, tokens)
