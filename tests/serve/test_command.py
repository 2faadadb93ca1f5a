"""`cuvee serve` and `cuvee api-key` as commands: what they check, say and return."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from cuvee.errors import InputError
from cuvee.serve.facts import read_facts
from cuvee.serve.processes import Family, reserved_port
from cuvee.serve.prompts import PromptLengths
from tests.serve.test_faults import EngineProcess
from tests.serve.test_reload import write_files
from tests.serve.world import two_types


def run(*arguments):
    """A command's exit code, and what it says on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "cuvee.cli.main", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    return done.returncode, done.stderr, done.stdout


def test_check_reads_everything_and_serves_nothing(tmp_path):
    """Good files are told in a line, wrong ones end with exit code 2 and the three parts of a message."""
    plan = two_types()
    engines = [type("At", (), {"port": 9000 + number}) for number in range(len(plan.groups))]
    place = write_files(tmp_path, engines, plan)
    code, said, _ = run("serve", place.plan, "--replicas", place.replicas, "--check")
    assert (code, "replicas in" in said) == (0, True)
    place.replicas.write_text(place.replicas.read_text().replace("group: g1", "group: g99"))
    code, said, _ = run("serve", place.plan, "--replicas", place.replicas, "--check")
    assert code == 2
    assert "g99" in said
    assert "expected:" in said
    assert "to do:" in said
    assert "Traceback" not in said


def test_a_key_is_shown_once(tmp_path):
    """The key is on stdout, its hash in the file, and the same name is refused."""
    code, _, key = run("api-key", "ann", "--file", tmp_path / "keys.yaml", "--concurrency", "3")
    assert code == 0
    assert key.startswith("sk-cuvee-ann.")
    assert key.strip().split(".")[1] not in (tmp_path / "keys.yaml").read_text()
    assert run("api-key", "ann", "--file", tmp_path / "keys.yaml")[0] == 2


def test_a_tokenizer_counts_exactly():
    """With a tokenizer prompts and chats are counted by it, token ids by themselves, and images not at all."""

    class Words:
        def encode(self, text):
            return type("Encoding", (), {"ids": text.split()})

    lengths = PromptLengths()
    lengths.tokenizer = Words()
    parts = [{"type": "text", "text": "c"}, {"type": "image_url"}]
    for record, tokens in (
        ({"prompt": "one two three"}, 3),
        ({"prompt": [7, 8, 9, 10]}, 4),
        ({"prompt": ["one", "one two three"]}, 2),
        ({"messages": [{"role": "user", "content": "a b"}, {"content": parts}]}, 3),
        ({}, 1),
    ):
        body = json.dumps(record).encode()
        assert lengths.tokens(read_facts(body, answers=True)) == tokens


def test_many_prompts_are_no_more_to_count_than_a_long_one():
    """Ninety prompts of 10 kB are 900 kB that a tokenizer would hold everyone up for, though each alone is short."""
    lengths = PromptLengths()
    lengths.tokenizer = object()
    body = json.dumps({"prompt": ["x" * 10_000] * 90}).encode()
    assert lengths.tokens(read_facts(body, answers=True)) == 2500


@pytest.mark.parametrize(
    ("record", "most"),
    [({}, 0), ({"max_tokens": 7}, 7), ({"max_completion_tokens": 3, "max_tokens": 7}, 3),
     ({"max_tokens": None, "max_output_tokens": 5}, 5)],
)  # fmt: skip
def test_the_longest_answer_has_several_names(record, most):
    """The first that is given counts; null is as good as nothing."""
    assert read_facts(json.dumps(record).encode(), answers=True).most_tokens == most


def test_prompts_are_estimated_by_what_engines_count():
    """Bytes per token begin at four, and follow an engine whose tokens are two bytes long."""
    lengths = PromptLengths()
    facts = read_facts(b'{"prompt": "' + b"x" * 400 + b'"}', answers=True)
    assert lengths.tokens(facts) == 100
    for _ in range(5):
        lengths.learn(400, 200)
    assert lengths.tokens(facts) == 200


def test_a_process_that_a_signal_misses_is_ended_all_the_same(monkeypatch):
    """SIGTERM while it is being started: it is not yet among those that are told, and nobody is told again."""
    started = []

    def popen(command):
        started.append(start(command))
        os.kill(os.getpid(), signal.SIGTERM)
        return started[-1]

    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", popen)
    Family([sys.executable, "-c", "import time; time.sleep(20)"], 1).run()
    assert [each.returncode for each in started] == [-signal.SIGTERM]


def test_processes_do_not_outlive_the_one_that_keeps_them_running(tmp_path):
    """Killed, it can end nobody: they end by themselves, and the port is free again."""
    with ExitStack() as stack:
        gateway, port = two_processes(stack, tmp_path)
        assert children_of(gateway.pid, 2)
        gateway.kill()
        wait_for(lambda: status_of(port) == 0)


def two_processes(stack, tmp_path):
    """A gateway of two processes that answers, and its port."""
    plan = two_types()
    engines = [stack.enter_context(EngineProcess()) for _ in plan.groups]
    place = write_files(tmp_path, engines, plan)
    with reserved_port("127.0.0.1", 0) as kept:
        port = kept.getsockname()[1]
    asked = ["serve", place.plan, "--replicas", place.replicas, "--port", port, "--admin-port", -1, "--processes", 2]
    gateway = subprocess.Popen([sys.executable, "-m", "cuvee.cli.main", *map(str, asked)], stderr=subprocess.DEVNULL)
    stack.callback(gateway.wait)
    stack.callback(gateway.kill)
    wait_for(lambda: children_of(gateway.pid, 2))
    wait_for(lambda: status_of(port) == 200)
    return gateway, port


def test_processes_share_a_port_and_end_together(tmp_path):
    """Two processes on one port answer under one address, replace one that is killed, and end on SIGTERM."""
    with ExitStack() as stack:
        gateway, port = two_processes(stack, tmp_path)
        children = children_of(gateway.pid, 2)
        os.kill(children[0], signal.SIGKILL)
        wait_for(lambda: children[0] not in children_of(gateway.pid, 2) and children_of(gateway.pid, 2))
        wait_for(lambda: status_of(port) == 200)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0


def test_a_port_is_free_again_at_once():
    """Connections that this side has closed linger for a minute, and hold up no restart; who listens there does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(InputError, match="cannot be listened on"):
            reserved_port("127.0.0.1", port)
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listening.accept()
        served.shutdown(socket.SHUT_RDWR)  # the side that ends first lingers
        assert client.recv(1) == b""
        served.close()
        client.close()
    reserved_port("127.0.0.1", port).close()


def children_of(pid, number):
    """Processes that come from one, where there are so many."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    if not file.exists():
        pytest.skip("this system does not tell which processes come from another")
    found = [int(each) for each in file.read_text().split()]
    return found if len(found) == number else []


def status_of(port):
    """Status of /health on a port; 0 where nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return reply.status
    except OSError:
        return 0


def wait_for(is_so, timeout_s=60.0):
    """What `is_so` gives, once that is something."""
    until_s = time.monotonic() + timeout_s
    while not (found := is_so()):
        assert time.monotonic() < until_s
        time.sleep(0.1)
    return found
