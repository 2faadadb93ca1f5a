"""`evaluate`: setting after setting, each kept as soon as it is there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np

from cuvee.catalog.models import load_model
from cuvee.evaluate.grid import MIXES, MODELS, EvaluationOptions, Setting
from cuvee.evaluate.playing import run_setting
from cuvee.evaluate.records import SettingResult
from cuvee.evaluate.requests import Requests
from cuvee.evaluate.results_file import header, read_results, write_results
from cuvee.workload.classify import classify
from cuvee.workload.mixes import load_mix
from cuvee.workload.readers import load_trace
from cuvee.workload.records import Trace

TYPES_OF_A_TRACE = 9
"""Workload types chosen from a trace [-], as many as the paper has."""


def requests_by_name(traces: Sequence[str]) -> dict[str, Requests]:
    """The paper's mixes, and a set of requests for each trace file, named after the file."""
    found = {name: Requests(name, load_mix(name)) for name in MIXES}
    for path in traces:
        trace = within_context(load_trace(path))
        name = Path(path).name.split(".")[0]
        found[name] = Requests(name, classify(trace, types=TYPES_OF_A_TRACE), trace)
    return found


def within_context(trace: Trace) -> Trace:
    """`trace` with requests cut to what every model of `MODELS` takes: the answer first. Servers refuse longer ones."""
    most = min(load_model(name).max_context for shares in MODELS.values() for name in shares)
    prompt = np.minimum(trace.input_tokens, most - 1)
    answer = np.minimum(trace.output_tokens, most - prompt)
    cut = int((prompt + answer < trace.input_tokens + trace.output_tokens).sum())
    note = (f"requests cut to {most:,} tokens: {cut}",) if cut else ()
    return replace(trace, input_tokens=prompt, output_tokens=answer, notes=trace.notes + note)


def evaluate(
    settings: Sequence[Setting],
    requests: Mapping[str, Requests],
    options: EvaluationOptions,
    *,
    out: Path | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    keep: Callable[[str], None] = lambda _text: None,
    interrupted: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = monotonic,
) -> list[SettingResult]:
    """Results of `settings`, in their order; those that `out` has already are not made again.

    Parameters
        out            File of results; written anew after each setting.
        progress       Told what is being done; it may raise KeyboardInterrupt.
        keep           Told of each setting that is done, with the time left.
        interrupted    Whether to stop: asked after each setting, for a plan that was interrupted ends with what it has.
        clock          Seconds [s].
    Raises             InputError: `out` has results of other code, options or traces.
    """
    head = header(options, {name: each for name, each in requests.items() if any(s.requests == name for s in settings)})
    head, known = read_results(out, head) if out is not None else (head, [])
    done = {each.setting: each for each in known}
    missing = [each for each in settings if each not in done]
    began_s = clock()
    try:
        for number, setting in enumerate(missing, 1):
            result = run_setting(setting, requests[setting.requests], options, progress=progress)
            if interrupted():
                break
            done[setting] = result
            if out is not None:
                write_results(out, head, done.values())
            keep(_line(result, number, len(missing), clock() - began_s))
    except KeyboardInterrupt:
        if not interrupted():
            raise
    return [done[setting] for setting in settings if setting in done]


def _line(result: SettingResult, number: int, total: int, elapsed_s: float) -> str:
    left_s = elapsed_s / number * (total - number)
    left = f"{left_s / 60:.0f} min left" if left_s >= 90 else f"{left_s:.0f} s left"
    served = f"{result.ours.played_req_per_s:.3g} req/s" if result.ours.serves else "no plan"
    return f"[{number}/{total}] {result.setting.name}: {served}, {result.seconds:.0f} s; {left}"
