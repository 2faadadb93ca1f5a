"""Real engines that die, hang and crawl under load: nothing is lost without a word, and the fleet mends itself."""

import signal

import numpy as np
import pytest

from tests.e2e.faults import ANSWER, VICTIM, hurt, send, slowed, small_fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, llama_model):
    """Three engines and the gateway; every test leaves them as it found them."""
    assert llama_model
    with small_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


def accounted_for(mended) -> None:
    """Every request ended: with all its tokens, or with an error that its client saw."""
    seen = mended.requests
    for error, answer, last_s in zip(seen.error, seen.answer, seen.last_s, strict=True):
        assert error != "lost"
        assert error or (answer == ANSWER and not np.isnan(last_s))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_replica_that_dies_or_hangs(fleet, number):
    """The others take over, what it had begun fails, and it is started again. Of 120 requests few are concerned."""
    mended = hurt(fleet, lambda: send(fleet, VICTIM, number), VICTIM)
    accounted_for(mended)
    assert mended.ready_s is not None
    assert mended.failed < 30


def test_a_slow_replica_loses_nothing(fleet):
    """A tenth of its speed is no fault of a request's."""
    with slowed(fleet, VICTIM):
        mended = hurt(fleet, lambda: None, "")
    accounted_for(mended)
    assert mended.failed == 0


def test_the_gateway_itself(fleet):
    """While it is away clients are refused, which they see; then it serves again, and engines were not touched."""
    before = {name: pid for name, pid in fleet.pids.items() if name != "gateway"}
    mended = hurt(fleet, lambda: send(fleet, "gateway", signal.SIGKILL), "gateway")
    accounted_for(mended)
    assert mended.ready_s is not None
    assert {name: pid for name, pid in fleet.pids.items() if name != "gateway"} == before
