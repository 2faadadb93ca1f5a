"""Points made by hand."""

from cuvee.profile.measure.point import TIGHT, Point, Spread


def point(concurrency=None, rate=1.0, *, half_width=0.01, load=None, **changes):
    """One point of type "a"; held where `concurrency` is given, else at `load`."""
    latency = Spread(100, 0.5, 0.01, {50: 0.4, 99: 0.9})
    fields = {
        "type_name": "a", "concurrency": concurrency, "request_rate_req_per_s": None if concurrency else rate,
        "load": load, "input_tokens": 100.0, "output_tokens": 20.0, "rate_req_per_s": rate,
        "half_width_req_per_s": half_width, "ttft": latency, "tpot": latency, "inter_token": latency,
        "end_to_end": latency, "completed": 100, "warm_up_answers": 10, "failed": 0, "short": 0,
        "window_s": 20.0, "warm_up_s": 2.0,
        "cached_share": 0.0, "busy_share": 0.1, "ended": TIGHT, "date": "2026-11-22",
    }  # fmt: skip
    return Point(**{**fields, **changes})
