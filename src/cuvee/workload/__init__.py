"""What is asked: traces in, workload types and demand out."""

from cuvee.workload.assign import ClassificationError, assign_types, classification_error
from cuvee.workload.classify import classify, split_by_model
from cuvee.workload.columns import ColumnNames
from cuvee.workload.day import Period, TypicalDay, find_periods, fold_day
from cuvee.workload.edges import LengthEdges, paper_edges
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from cuvee.workload.mixes import load_demand_file, load_mix, mix_names
from cuvee.workload.readers import load_trace
from cuvee.workload.records import Demand, LengthBox, Trace, WorkloadType
from cuvee.workload.series import DemandSeries, load_series, series_names
from cuvee.workload.summary import LengthSummary, TraceSummary, summarize

__all__ = [
    "ClassificationError",
    "ColumnNames",
    "Demand",
    "DemandSeries",
    "LatencyLimits",
    "LatencyObjective",
    "LengthBox",
    "LengthEdges",
    "LengthSummary",
    "Period",
    "Trace",
    "TraceSummary",
    "TypicalDay",
    "WorkloadType",
    "assign_types",
    "classification_error",
    "classify",
    "find_periods",
    "fold_day",
    "load_demand_file",
    "load_mix",
    "load_series",
    "load_trace",
    "mix_names",
    "paper_edges",
    "series_names",
    "split_by_model",
    "summarize",
]
