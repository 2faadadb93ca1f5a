"""Robustness and what is beyond the paper go on where they stopped."""

from types import SimpleNamespace

import pytest

from cuvee.errors import InputError
from cuvee.evaluate import beyond as beyond_module
from cuvee.evaluate import robustness as robustness_module
from cuvee.evaluate.beyond import Beyond, beyond
from cuvee.evaluate.grid import EvaluationOptions, paper_grid
from cuvee.evaluate.robustness import Bursty, Met, robustness
from tests.evaluate.test_beyond import DAYS, LIMITED, MARKET

SETTINGS = paper_grid()[:2]
REQUESTS = {"trace-1": SimpleNamespace(trace=None), "trace-2": None, "trace-3": None}


@pytest.fixture
def asked(monkeypatch):
    """Questions of `beyond` that were planned, in order: each by a stub; two of the market."""
    names: list[str] = []

    def stub(name, result):
        def made(*_given, progress, **_options):
            progress(name)
            names.append(name)
            return result

        monkeypatch.setattr(beyond_module, name, made)

    questions = (("m", "trace-1", "all"), ("m", "trace-2", "all"))
    monkeypatch.setattr(beyond_module, "market_questions", lambda *, quick: questions)
    monkeypatch.setattr(beyond_module, "limited_questions", lambda *, quick: (LIMITED.question,))
    stub("on_the_market", MARKET)
    stub("within_limits", LIMITED)
    stub("fortnight", DAYS)
    return names


def test_beyond_goes_on(asked, tmp_path):
    """Ctrl-C after the second market: it is asked again, the first is not, and the results are the same to the last."""
    out, whole = tmp_path / "beyond.jsonl", Beyond((MARKET, MARKET), (LIMITED,), DAYS)

    def interrupt(text):
        if text == "done" and len(asked) == 2:
            raise KeyboardInterrupt

    assert beyond(out=out, progress=interrupt, interrupted=lambda: True) == Beyond((MARKET,), (), None)
    assert beyond(out=out) == whole
    assert asked == ["on_the_market"] * 3 + ["within_limits", "fortnight"]
    assert beyond(out=out) == whole
    assert len(asked) == 5
    with pytest.raises(InputError, match="another options"):
        beyond(out=out, quick=True)


def test_robustness_goes_on(monkeypatch, tmp_path):
    """A setting that is in the file is not planned again; results of another evaluation are no such file."""
    made: list[str] = []
    monkeypatch.setattr(robustness_module, "prepared_setting", lambda setting, *_: made.append(setting.name))
    monkeypatch.setattr(robustness_module, "choosers", dict)

    def wrong_rates(setting, *_given):
        return [Met(setting.name, "a case", "plan", 4.0, 3.0, 3.5, 4.0, 4.0)]

    for name in ("wrong_rates", "lost_stock", "another_mix"):
        monkeypatch.setattr(robustness_module, name, wrong_rates)
    monkeypatch.setattr(
        robustness_module, "bursty", lambda setting, *_: iter([Bursty(setting.name, "plan", 2.0, 1.0, 3.0)])
    )
    out = tmp_path / "robustness.jsonl"
    first = robustness(SETTINGS[:1], REQUESTS, EvaluationOptions(), out=out)  # type: ignore[arg-type]
    both = robustness(SETTINGS, REQUESTS, EvaluationOptions(), out=out)  # type: ignore[arg-type]
    assert made == [each.name for each in SETTINGS]
    assert (both[0][:3], both[1][:1]) == first
    assert both[0] == [each for setting in SETTINGS for each in wrong_rates(setting) * 3]
    with pytest.raises(InputError, match="another evaluation"):
        beyond(out=out)


def test_a_result_that_is_none_is_refused(asked, tmp_path):
    """A line with other fields than a result has ends with a message, not with a traceback."""
    out = tmp_path / "beyond.jsonl"
    beyond(out=out)
    out.write_text(out.read_text().replace('"budget_usd_per_hour"', '"budget"'))
    with pytest.raises(InputError, match="not a file of results"):
        beyond(out=out)
