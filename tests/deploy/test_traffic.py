"""What the live table shows of the gateway's counts."""

import time

from rich.console import Console

from cuvee.deploy.process import Program
from cuvee.deploy.supervisor import Member, State
from cuvee.deploy.traffic import Traffic, TrafficWatch, counts_of
from cuvee.report.fleet_console import fleet_table, planned_shares

METRICS = """\
# HELP cuvee_requests_total Answers that ended.
# TYPE cuvee_requests_total counter
cuvee_requests_total{model="m",workload="a",group="g1",status="2xx"} 30.0
cuvee_requests_total{model="m",workload="b",group="g1",status="2xx"} 10.0
cuvee_requests_total{model="m",workload="b",group="g2",status="5xx"} 60.0
cuvee_cancelled_total{model="m",workload="b",group="g2"} 9.0
"""


def test_counts_are_summed_over_all_but_the_group():
    """Other counters are left alone."""
    assert counts_of(METRICS) == {"g1": 40.0, "g2": 60.0}


def test_a_gateway_that_is_away_holds_nothing_up():
    """No traffic is known then."""
    watch = TrafficWatch("127.0.0.1", 1)
    for _ in range(3):
        assert watch.at(time.monotonic()) == {}
        time.sleep(0.05)
    watch.close()


def test_the_table(plan, tmp_path):
    """Shares stand once for a group, in the row of its first replica, beside those of the plan."""
    members = [
        Member(Program(name, ("x",), f"http://127.0.0.1:{port}/health", tmp_path / "log"), State.READY, ready_s=1.0)
        for name, port in (("g1.0", 1), ("g2.0", 2), ("g2.1", 3), ("gateway", 4))
    ]
    members[2].restarts = 2
    traffic = {"g1": Traffic(4.0, 0.4), "g2": Traffic(6.0, 0.6)}
    console = Console(width=100, record=True, file=(tmp_path / "out").open("w"))
    console.print(fleet_table(plan, members, traffic, now_s=11.0))
    rows = [line.split() for line in console.export_text().splitlines()]
    console.file.close()
    planned = planned_shares(plan)
    assert sum(planned.values()) == 1
    assert rows[1][:6] == ["g1.0", "1x", "H100-SXM", "ready", "10", "s"]
    assert rows[1][6:9] == ["4.0", "40.0%", f"{planned['g1']:.1%}"]
    assert rows[2][-4:-1] == ["6.0", "60.0%", f"{planned['g2']:.1%}"]
    assert rows[3][-2:] == ["2", "http://127.0.0.1:3"]
    assert rows[4][0] == "gateway"
