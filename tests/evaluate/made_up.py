"""Made-up results, to reckon with by hand."""

from typing import Any

from cuvee.evaluate.grid import Setting
from cuvee.evaluate.records import PERCENTILES, GroupOutcome, Outcome, SettingResult
from cuvee.evaluate.ways import Family

SETTING = Setting("70b", "trace-1", 1, 30.0)


def outcome(name: str, played: float, *, planned: float | None = None, **changes: Any) -> Outcome:
    """A way that serves `played` of a burst of 100 requests, and takes 1 s for every request at 2 req/s."""
    planned = played if planned is None else planned
    values = {
        "family": Family.OURS if name == "plan" else Family.SYSTEM,
        "cost_usd_per_hour": 30.0,
        "gpus": {"A40": 4},
        "proven": True,
        "planned_makespan_s": 100 / planned if planned else 0.0,
        "played_makespan_s": 100 / played if played else 0.0,
        "offered_req_per_s": 2.0,
        "e2e_s": (1.0,) * len(PERCENTILES),
        "ttft_s": (0.1,) * len(PERCENTILES),
        "groups": (GroupOutcome("1x 4x A40 TP4", 1.0, 2, 0.1),),
    }
    return Outcome(name, planned_req_per_s=planned, played_req_per_s=played, **{**values, **changes})


def result(*outcomes: Outcome, setting: Setting = SETTING) -> SettingResult:
    return SettingResult(setting, outcomes, 1.0)
