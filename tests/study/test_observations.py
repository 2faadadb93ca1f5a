"""Verdicts: what counts as holding, holding in part, a tie and not holding."""

import pytest

from cuvee.catalog import find_gpu
from cuvee.report.study_text import finding_text
from cuvee.study.comparison import Comparison
from cuvee.study.finding import Case, Finding, Observation, Verdict
from cuvee.study.gpu_classes import GpuClass, gpu_class
from cuvee.study.observations import observations
from cuvee.study.question import NEWER_GPUS, PAPER_GPUS
from tests.study.tiny import tiny_study

CLEAR, WEAK, LEVEL = Comparison(2.0, 1.5, 2.7, 0.99), Comparison(1.2, 0.9, 1.6, 0.7), Comparison(1.0, 1.0, 1.0, 0.5)
BEHIND, WEAKLY_BEHIND = Comparison(0.5, 0.4, 0.7, 0.01), Comparison(0.9, 0.7, 1.2, 0.3)


def case(comparison, model="m"):
    return Case(model, "somewhere", "one", "another", comparison)


def finding(*comparisons):
    return Finding("a claim", tuple(case(each) for each in comparisons))


@pytest.mark.parametrize(
    ("comparisons", "verdict"),
    [
        ([CLEAR, CLEAR], Verdict.HOLDS),
        ([CLEAR, WEAK], Verdict.HOLDS),
        ([CLEAR, WEAKLY_BEHIND], Verdict.IN_PART),
        ([CLEAR, BEHIND], Verdict.IN_PART),
        ([WEAK, BEHIND], Verdict.IN_PART),
        ([BEHIND], Verdict.FAILS),
        ([BEHIND, WEAKLY_BEHIND], Verdict.FAILS),
        ([WEAK], Verdict.TIE),
        ([WEAKLY_BEHIND], Verdict.TIE),
        ([WEAK, WEAKLY_BEHIND], Verdict.TIE),
        ([LEVEL], Verdict.TIE),
    ],
)
def test_verdict_of_a_finding(comparisons, verdict):
    """All as claimed, some, none; and a tie where nothing is outside the errors."""
    assert finding(*comparisons).verdict is verdict


def observation(factors, findings=()):
    return Observation("title", tuple(case(each) for each in factors), 2.0, "of something", tuple(findings))


def test_verdict_of_an_observation():
    """The largest factor must be outside its band; findings that fail make it hold in part."""
    assert observation([CLEAR, WEAK]).verdict is Verdict.HOLDS
    assert observation([CLEAR], [finding(WEAK)]).verdict is Verdict.HOLDS
    assert observation([CLEAR], [finding(CLEAR), finding(BEHIND)]).verdict is Verdict.IN_PART
    assert observation([WEAK], [finding(CLEAR)]).verdict is Verdict.TIE
    assert observation([LEVEL]).verdict is Verdict.FAILS


def test_what_is_cheapest_everywhere_hangs_on_nothing():
    """One leader in every case: it does not hold, however large the factor. Tempting: best over worst alone."""
    alike = Observation("t", (case(CLEAR), case(CLEAR)), 2.0, "of something", (), ("A40", "A40"))
    apart = Observation("t", (case(CLEAR), case(CLEAR)), 2.0, "of something", (), ("A40", "H100-SXM"))
    assert (alike.verdict, apart.verdict) == (Verdict.FAILS, Verdict.HOLDS)


def test_the_largest_of_each_model():
    """Up to: over all, and of each model apart."""
    cases = (case(WEAK, "a"), case(CLEAR, "b"), case(LEVEL, "a"))
    found = Observation("title", cases, 2.0, "of something", ())
    assert found.largest is cases[1]
    assert found.largest_by_model == (cases[0], cases[1])
    assert found.median == pytest.approx(1.2)


def test_observations_of_the_tiny_study():
    """8 over 5 is the largest choice of a GPU type but for 3.75 over 2; of a configuration 7.5 over 6 per GPU."""
    gpu_choice, configuration, assignment = observations(tiny_study())
    assert gpu_choice.largest.comparison.factor == pytest.approx(3.75 / 2)
    assert (gpu_choice.largest.where, gpu_choice.largest.ahead) == ("long", "H100-SXM TP2")
    # Per GPU: H100 7.5 as TP2 and 6 as TP1, A40 1 and 0.8.
    assert configuration.largest.comparison.factor == pytest.approx(1.25)
    assert assignment.largest.behind == "H100-SXM"
    assert gpu_choice.verdict is Verdict.HOLDS


def test_a_study_of_one_gpu_type_has_no_choice_of_it():
    """What there is nothing to compare with is left out."""
    found = observations(tiny_study(gpus=("A40",)))
    assert [each.paper for each in found] == [2.61, 1.23]


def test_classes_of_the_paper_and_since():
    """The paper's six types are in the classes it puts them in; newer ones beside their like."""
    classes = {name: gpu_class(find_gpu(name)) for name in (*PAPER_GPUS, *NEWER_GPUS)}
    data_centre = {"A100-80GB-SXM", "H100-SXM", "H200-SXM", "B200-SXM", "MI300X"}
    assert {name for name, kind in classes.items() if kind is GpuClass.DATA_CENTRE} == data_centre
    assert {name for name, kind in classes.items() if kind is GpuClass.CONSUMER} == {"RTX4090", "RTX5090"}


def test_what_is_level_is_no_lead():
    """1.2 is ahead, 0.995 and 1 are level, 0.9 is behind. Tempting: "so in 2 of 2", of which one does not lead."""
    found = finding(WEAK, Comparison(0.995, 0.7, 1.4, 0.49), WEAKLY_BEHIND)
    assert (found.num_as_claimed, found.num_level) == (2, 1)
    assert "so in 1 of 3 cases, level in 1; 0 of all" in finding_text(found)
    assert "so in 1 of 2 cases, level in 1; 0 of all" in finding_text(finding(WEAK, LEVEL))
    assert "so in 2 of 2 cases, 0 of them" in finding_text(finding(WEAK, WEAK))
