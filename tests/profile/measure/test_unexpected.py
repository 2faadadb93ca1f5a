"""What nobody foresaw, in the middle of a load: the run ends with it, at once."""

import asyncio
import gc

import pytest

from cuvee.profile.measure.held import Streams
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.paced import Arrivals
from cuvee.profile.measure.watch import Watch
from tests.profile.measure.measuring import SHORT
from tests.profile.measure.virtual_time import run_virtually

SLOT_S = 100.0


class Breaks:
    """Stands for the sender: every request fails as no request should."""

    async def send(self, input_tokens, output_tokens, *, begun, heard=None):
        await asyncio.sleep(0.1)
        raise ZeroDivisionError("a bug")


async def held(watch):
    streams = Streams(Breaks(), SHORT, MeasureOptions())  # type: ignore[arg-type]
    try:
        await streams.hold(4, watch)
    finally:
        await streams.close()


async def paced(watch):
    await Arrivals(Breaks(), SHORT, MeasureOptions(), rate_req_per_s=10.0, warm_up_s=5.0).measure(watch)  # type: ignore[arg-type]


@pytest.mark.parametrize("measure", [held, paced])
def test_a_stream_that_breaks_ends_the_run(measure):
    """Within 1 s of a slot of 100, with no complaint of the loop. Tempting: to hear `FailedError` alone."""
    complaints = list[object]()

    async def work():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        began_s = loop.time()
        with pytest.raises(ZeroDivisionError):
            await measure(Watch(began_s + SLOT_S, asyncio.Event()))
        return loop.time() - began_s

    assert run_virtually(work) < 1
    gc.collect()
    assert not complaints
