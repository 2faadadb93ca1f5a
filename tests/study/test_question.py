"""What a study is asked, and what answers it."""

import pytest

from cuvee.errors import InputError, UnknownNameError
from cuvee.study.curves import cost_curves
from cuvee.study.question import NEWER_GPUS, PAPER_GPUS, StudyQuestion

SMALL = StudyQuestion(shares=(("llama-3-8b", None),), offers=("paper",), gpus=("A40", "H100"), workloads=("2455x18",))


def test_the_default_is_the_papers_question_at_its_prices_and_at_those_of_the_market():
    """Both models, nine types, three mixes, six GPU types at the paper's prices, and newer ones beside them."""
    paper, market = StudyQuestion().answer().studies
    assert [model.name for model in paper.models] == ["llama-3-8b", "llama-3-70b"]
    assert len(paper.asked.workloads) == 9
    assert [demand.name for demand in paper.asked.demands] == ["paper-trace-1", "paper-trace-2", "paper-trace-3"]
    assert {gpu.name for gpu in paper.gpus} == set(PAPER_GPUS)
    assert [gpu.name for gpu in market.gpus] == [*PAPER_GPUS, *NEWER_GPUS]


def test_one_question_of_ones_own():
    """A kind of request by its lengths, on the GPU types named, by any of their names."""
    (study,) = SMALL.answer().studies
    assert [(kind.input_tokens, kind.output_tokens) for kind in study.asked.workloads] == [(2455, 18)]
    assert [gpu.name for gpu in study.gpus] == ["A40", "H100-SXM"]
    assert study.asked.shares == {"llama-3-8b": 1.0}


def test_prices_do_not_change_what_is_fast():
    """The same replicas have the same rates and latencies in every study."""
    answer = StudyQuestion(shares=(("llama-3-8b", None),), workloads=("500x100",)).answer()
    rates = [
        {entry.config: (entry.rate_req_per_s, entry.latencies) for entry in study.entries} for study in answer.studies
    ]
    shared = rates[0].keys() & rates[1].keys()
    assert shared
    assert all(rates[0][config] == rates[1][config] for config in shared)


def test_a_price_list_without_what_is_asked_for_is_left_out():
    """The paper has no H200: by default its prices then fall away; where they are asked for it is an error."""
    question = StudyQuestion(shares=(("llama-3-8b", None),), gpus=("H200",), workloads=("500x100",))
    assert [study.offers.name for study in question.answer().studies] == ["market-2026-09"]
    with pytest.raises(InputError, match="nothing to serve"):
        StudyQuestion(shares=(("llama-3-8b", None),), gpus=("H200",), offers=("paper",)).answer()


@pytest.mark.parametrize(
    "question",
    [
        StudyQuestion(workloads=("2455",)),
        StudyQuestion(workloads=("0x5",)),
        StudyQuestion(workloads=("5x5", "5 x 5")),
        StudyQuestion(workloads=("999999999x5",)),
        StudyQuestion(workloads=("5x5",), mix="trace-1"),
        StudyQuestion(types=4),
        StudyQuestion(shares=()),
        StudyQuestion(shares=(("llama-3-8b", None), ("Meta-Llama-3-8B", None))),
        StudyQuestion(shares=(("llama-3-8b", 0.5), ("llama-3-70b", None))),
        StudyQuestion(shares=(("llama-3-8b", 0.5), ("llama-3-70b", 0.4))),
        StudyQuestion(precisions=("fp7",)),
        StudyQuestion(load=1.0),
    ],
)
def test_questions_that_cannot_be_answered(question):
    """Each ends with what arrived, what was expected and what to do."""
    with pytest.raises(InputError) as refused:
        question.answer()
    assert "expected:" in str(refused.value)
    assert "to do:" in str(refused.value)


@pytest.mark.parametrize(
    "question",
    [
        StudyQuestion(gpus=("H10",)),
        StudyQuestion(offers=("nope",)),
        StudyQuestion(engine="nope"),
        StudyQuestion(mix="no"),
    ],
)
def test_unknown_names(question):
    """Names that no catalogue has are refused with the nearest known ones."""
    with pytest.raises(UnknownNameError):
        question.answer()


def test_curves_fall():
    """The sooner an answer is promised, the dearer; no point is beaten in both, and load rises to the cheap end."""
    answer = SMALL.answer()
    curves = cost_curves(answer.studies[0], answer.performances, 95.0)
    assert {gpu for _, gpu, _ in curves} == {"A40", "H100-SXM"}
    for points in curves.values():
        latencies = [point.e2e_s for point in points]
        costs = [point.usd_per_million_requests for point in points]
        assert latencies == sorted(set(latencies))
        assert costs == sorted(set(costs), reverse=True)
        assert len(points) > 3
    # The cheap end is the best configuration near saturation.
    best = answer.studies[0].best("llama-3-8b", "A40", "in2455-out18")
    assert best is not None
    cheap = curves["llama-3-8b", "A40", "in2455-out18"][-1]
    assert (cheap.config, cheap.load) == (best.config, 0.95)
    assert cheap.usd_per_million_requests == pytest.approx(best.usd_per_million_requests / 0.95)


def test_higher_percentiles_take_longer():
    """A point of the p99 curve is never left of the p50 curve's at the same cost."""
    answer = SMALL.answer()
    half, most = (cost_curves(answer.studies[0], answer.performances, percentile) for percentile in (50.0, 99.0))
    for key, points in most.items():
        assert points[0].e2e_s > half[key][0].e2e_s
