"""Work on all cores: all of it is done, and a failure ends it."""

import threading

import pytest

from cuvee.profile.cores import FEW, on_all_cores


@pytest.mark.parametrize("count", [0, 1, FEW, 100])
def test_every_call_is_made_once(count):
    """Few calls in this thread, many in several."""
    done = [0] * count

    def work(index, by):
        done[index] += by

    on_all_cores(work, [(index, 2) for index in range(count)])
    assert done == [2] * count


def test_a_failure_ends_the_rest():
    """The error is the caller's, and of a thousand calls most are never made."""
    made, lock = [], threading.Event()

    def work(index):
        made.append(index)
        if index == 1:
            lock.set()
            raise ValueError("the second")
        lock.wait(1.0)

    with pytest.raises(ValueError, match="the second"):
        on_all_cores(work, [(index,) for index in range(1000)])
    assert len(made) < 1000
