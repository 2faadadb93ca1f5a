"""`cuvee check --metrics`: verdicts and exit codes on what a gateway says, from a file and from its address."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cuvee.plan.outcome.files import plan_to_json
from cuvee.serve.counters import Counters
from cuvee.serve.metrics import metrics_text
from cuvee.serve.options import ServeOptions
from cuvee.serve.replicas_file import Deployment, ReplicaAddress, ServedModel
from cuvee.serve.serving import serving_of
from tests.cli.test_bad_input import check_refused
from tests.serve.world import MODEL, two_types


def metrics(num_requests, *, mixed_up=False, served_s=None, down=()):
    """Text of the metrics of a gateway that served `num_requests` by the plan, or the types the other way round."""
    plan = two_types()
    addresses = tuple(
        ReplicaAddress(f"http://127.0.0.1:{9000 + 10 * at + copy}", group.id, f"{group.id}-{copy}")
        for at, group in enumerate(plan.groups)
        for copy in range(group.copies)
    )
    serving = serving_of(plan, Deployment(addresses, (ServedModel(MODEL, ("tiny",)),)), ServeOptions())
    counters = Counters()
    shares = (0.4, 0.6) if mixed_up else (0.6, 0.4)
    for row, share in zip(plan.assignment, shares, strict=True):
        for group, part in row.shares.items():
            mine = counters.of(row.model, row.workload, group)
            for _ in range(round(num_requests * share * part)):
                mine.sent += 1
                mine.ended(200, prompt_tokens=9, answer_tokens=round(row.output_tokens), e2e_s=1.0, queued_s=0.0)
                mine.answered(prompt_tokens=9, answer_tokens=round(row.output_tokens), streamed_s=0.0)
    record = counters.record()
    record["served_s"] = served_s or num_requests / (0.8 * plan.served_req_per_s)
    replicas = [
        {"name": each.name, "group": each.group, "is_up": each.group not in down, "held": 0, "occupancy": 0.0,
         "connections": 0, "failures": 0, "ejections": 0, "engine": {}}
        for each in addresses
    ]  # fmt: skip
    whole = {"counters": record, "replicas": replicas, "waiting": {}, "under_way": 0, "clients": 0, "lost_lines": 0}
    return metrics_text(serving, [whole]).decode()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The working folder with the plan that is served."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text(plan_to_json(two_types()))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (metrics(3000), 0, ("follows the plan", "3,000 requests")),
        (metrics(30), 3, ("not enough data yet",)),
        (metrics(3000, mixed_up=True), 1, ("drifts", "mix", "cuvee plan scenario.yaml --from plan.json --trace")),
        (metrics(30, down=("g1",)), 1, ("drifts", "replicas", "limits.max_gpus")),
    ],
)
def test_each_verdict_has_its_code(cuvee, served, text, code, words):
    """0 where the plan is followed, 1 where it drifts, with what to do, and 3 where it is too early."""
    (served / "metrics.txt").write_text(text)
    found = cuvee("check", "plan.json", "--metrics", "metrics.txt")
    assert (found.code, found.err) == (code, "")
    assert all(word in found.out for word in words)
    data = cuvee("check", "plan.json", "--metrics", "metrics.txt", "--json")
    assert data.code == code
    record = json.loads(data.out)
    assert record["verdict"] == {0: "follows", 1: "drifts", 3: "not enough data"}[code]
    assert bool(record["advice"]) == (code == 1)


def test_what_came_after_an_earlier_reading(cuvee, served):
    """--since leaves out what was counted before: the first thousand were of another mix, the rest is as planned."""
    rate = two_types().served_req_per_s
    (served / "then.txt").write_text(metrics(10, served_s=1.0))
    (served / "now.txt").write_text(metrics(3010, served_s=1.0 + 3000 / rate))
    found = cuvee("check", "plan.json", "--metrics", "now.txt", "--since", "then.txt", "--json")
    assert found.code == 0
    assert json.loads(found.out)["num_requests"] == pytest.approx(3000, abs=3)
    check_refused(cuvee("check", "plan.json", "--metrics", "then.txt", "--since", "now.txt"), "restarted")


def test_an_address_is_asked(cuvee, served):
    """Its /metrics where no path is named; what answers otherwise, or not at all, is told."""
    text = metrics(3000).encode()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        try:
            assert cuvee("check", "plan.json", "--metrics", at).code == 0
            check_refused(cuvee("check", "plan.json", "--metrics", f"{at}/other"), "status 404")
            # nothing was counted in between: the tempting wrong answer is that what came before still follows
            check_refused(cuvee("check", "plan.json", "--metrics", at, "--over", "0.1"), "restarted")
        finally:
            server.shutdown()
    check_refused(cuvee("check", "plan.json", "--metrics", at), "check that the gateway runs")


def test_what_cannot_be_compared_is_refused(cuvee, served):
    """Another plan's metrics, text that is none, a missing file, and options that need one another."""
    text = metrics(3000)
    (served / "metrics.txt").write_text(text)
    (served / "other.txt").write_text(text.replace('fingerprint="', 'fingerprint="0'))
    (served / "page.txt").write_text("<html>")
    check_refused(cuvee("check", "plan.json", "--metrics", "other.txt"), "SIGHUP")
    check_refused(cuvee("check", "plan.json", "--metrics", "page.txt"), "page.txt")
    check_refused(cuvee("check", "plan.json", "--metrics", "missing.txt"), "missing.txt")
    check_refused(cuvee("check", "plan.json", "--over", "1"), "--metrics")
    check_refused(
        cuvee("check", "plan.json", "--metrics", "metrics.txt", "--over", "1", "--since", "metrics.txt"), "--since"
    )
