"""How fast a replica serves a workload; call it to fill a table: `cuvee.profile(configs, workloads, ...)`."""

from cuvee._verbs import make_verb
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.engine import ENGINES, EngineSettings, engine_of_version, find_engine
from cuvee.profile.measured import MeasuredRate, TableProvider
from cuvee.profile.measured_files import load_throughput_table
from cuvee.profile.memory import kv_capacity_tokens, require_fit
from cuvee.profile.providers import ChainProvider, profile
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers
from cuvee.profile.table import NOT_STATED, Provenance, RateSource, ThroughputProvider, ThroughputTable, overlay

__all__ = [
    "ENGINES",
    "AnalyticProvider",
    "ChainProvider",
    "EngineSettings",
    "MeasuredRate",
    "NOT_STATED",
    "Provenance",
    "RateSource",
    "ReplicaConfig",
    "Stage",
    "TableProvider",
    "ThroughputProvider",
    "ThroughputTable",
    "engine_of_version",
    "find_engine",
    "kv_capacity_tokens",
    "load_throughput_table",
    "overlay",
    "profile",
    "require_fit",
    "split_layers",
]

make_verb(__name__, "cuvee.profile.providers:profile")
