"""The paper's three observations, held against a study.

    1. Which GPU type is cheapest hangs on model and request type.
    2. So does which deployment configuration is.
    3. So it pays to send each type of request where it is cheap to serve.

The paper's words for models and types are read as: a *small* model fits one consumer GPU, a *large* one no single
workstation GPU; *prompt-heavy* is the type with most prompt per answer token, *answer-heavy* the one with least.

Source          Jiang et al. (ICML 2025, arXiv 2502.00722), section 3 and its end-to-end results.
"""

from collections.abc import Callable, Iterator, Sequence

from cuvee.catalog.gpu import GpuType
from cuvee.study.assignment import AssignmentGain, assignment_gain
from cuvee.study.comparison import compare
from cuvee.study.entry import Entry
from cuvee.study.finding import Case, Finding, Observation
from cuvee.study.gpu_classes import GpuClass, gpu_class
from cuvee.study.leads import holds_alone
from cuvee.study.performance import GPUS_OF_A_MACHINE
from cuvee.study.study import Study
from cuvee.workload.records import WorkloadType

PAPER_GPU_CHOICE = 2.27
PAPER_CONFIGURATION_CHOICE = 2.61
PAPER_OVER_BEST_SINGLE = 1.23
"""What the paper reports as the most [-]: from the choice of the GPU type, from that of the configuration, and of a
mixed fleet over the best fleet of one GPU type."""


def observations(study: Study) -> tuple[Observation, ...]:
    """Those of the three that the study has figures for."""
    found = (_gpu_choice(study), _configuration_choice(study), _assignment(study))
    return tuple(each for each in found if each is not None)


def gains(study: Study) -> tuple[AssignmentGain, ...]:
    """What assignment brings to each mix, of each model and of all models together."""
    models = [{model.name: 1.0} for model in study.models]
    sets = [*models, dict(study.asked.shares)] if len(models) > 1 else models
    found = (
        assignment_gain(study, demand, shares)
        for shares in sets
        for demand in study.asked.demands
        if len(shares) * len(demand.types) > 1  # of one kind there is nothing to assign
    )
    return tuple(gain for gain in found if gain is not None)


def _gpu_choice(study: Study) -> Observation | None:
    rankings = [
        ranking
        for model in study.models
        for workload in study.asked.workloads
        if len(ranking := study.ranking(model.name, workload.name)) > 1
    ]
    cases = [_case(_where(ranking[0]), ranking[0], ranking[-1]) for ranking in rankings]
    if not cases:
        return None
    large, small = _large_models(study), _small_models(study)
    prompt_heavy, answer_heavy = _extremes(study.asked.workloads)
    if prompt_heavy == answer_heavy:
        large = []
    findings = (
        _leads(study, large, [prompt_heavy], GpuClass.DATA_CENTRE, "prompt-heavy requests to a large model"),
        _leads(study, large, [answer_heavy], GpuClass.WORKSTATION, "answer-heavy requests to a large model"),
        _leads(study, small, study.asked.workloads, GpuClass.CONSUMER, "every type of request to a small model"),
    )
    return Observation(
        "Which GPU type is cheapest hangs on the model and on the type of request",
        tuple(cases),
        PAPER_GPU_CHOICE,
        "requests per dollar, best over worst GPU type",
        tuple(each for each in findings if each is not None),
        tuple(ranking[0].gpu for ranking in rankings) if len(rankings) > 1 else (),
    )


def _leads(
    study: Study, models: Sequence[str], workloads: Sequence[WorkloadType], kind: GpuClass, what: str
) -> Finding | None:
    """Whether GPUs of a class lead; None where the study has none, or nothing else."""
    of_kind = {gpu.name for gpu in study.gpus if gpu_class(gpu) is kind}
    cases = []
    for model in models:
        for workload in workloads:
            ranking = study.ranking(model, workload.name)
            inside = next((entry for entry in ranking if entry.gpu in of_kind), None)
            outside = next((entry for entry in ranking if entry.gpu not in of_kind), None)
            if inside is not None and outside is not None:
                cases.append(_case(_where(inside), inside, outside))
    return Finding(f"{kind} GPUs are cheapest for {what}", tuple(cases)) if cases else None


def _configuration_choice(study: Study) -> Observation | None:
    rankings = [
        found
        for model in study.models
        for gpu in study.gpus
        for workload in study.asked.workloads
        if len(found := study.by_rate(model.name, gpu.name, workload.name)) > 1
    ]
    cases = [_case(f"{_where(found[0])} on {found[0].gpu}", found[0], found[-1], per_gpu=True) for found in rankings]
    if not cases:
        return None
    findings = (
        _copies_win(study),
        _pipelines_win(study),
        _tensor_parallelism_wins(study),
        _short_requests_want_copies(study),
    )
    return Observation(
        f"Which configuration of {GPUS_OF_A_MACHINE} GPUs is cheapest hangs on GPU type and type of request",
        tuple(cases),
        PAPER_CONFIGURATION_CHOICE,
        "requests per GPU, best over worst configuration",
        tuple(each for each in findings if each is not None),
        tuple(found[0].config.parallel_label for found in rankings) if len(rankings) > 1 else (),
    )


def _copies_win(study: Study) -> Finding | None:
    return _split_finding(
        study,
        "one GPU per replica is best for a small model, wherever one holds it",
        [(model, gpu, kind) for model in _small_models(study) for gpu in study.gpus for kind in study.asked.workloads],
        lambda entry: entry.config.num_gpus == 1,
    )


def _pipelines_win(study: Study) -> Finding | None:
    """Over PCIe a long prompt makes all-reduces of its activations, pipelines pass them on once a stage."""
    slow = [gpu for gpu in study.gpus if not gpu.has_fast_link]
    heavy = _extremes(study.asked.workloads)[0]
    whole = GPUS_OF_A_MACHINE
    return _split_finding(
        study,
        f"over PCIe, prompt-heavy requests to a large model: PP{whole} beats TP{whole}",
        [(model, gpu, heavy) for model in _large_models(study) for gpu in slow],
        lambda entry: len(entry.config.stages) == whole,
        lambda entry: entry.config.stages[0].tensor_parallel_size == whole,
    )


def _tensor_parallelism_wins(study: Study) -> Finding | None:
    fast = [gpu for gpu in study.gpus if gpu.has_fast_link]
    longest = _longest(study.asked.workloads)
    return _split_finding(
        study,
        "over NVLink or the like, the longest requests to a large model: no pipeline is best",
        [(model, gpu, longest) for model in _large_models(study) for gpu in fast],
        lambda entry: len(entry.config.stages) == 1,
    )


def _short_requests_want_copies(study: Study) -> Finding | None:
    """Copies of fewer GPUs than suit the longest requests."""
    fast = [gpu for gpu in study.gpus if gpu.has_fast_link]
    longest, shortest = _longest(study.asked.workloads), _shortest(study.asked.workloads)
    cases: list[Case] = []
    for model in _large_models(study):
        for gpu in fast:
            best = next(iter(study.by_rate(model, gpu.name, longest.name)), None)
            if best is not None and longest != shortest:
                cases += _smaller(study.by_rate(model, gpu.name, shortest.name), best.config.num_gpus)
    claim = "over NVLink or the like, the shortest requests want smaller replicas than the longest, and more of them"
    return Finding(claim, tuple(cases)) if cases else None


def _smaller(found: Sequence[Entry], num_gpus: int) -> Iterator[Case]:
    """The best configuration of fewer GPUs over the best of the rest."""
    return _split(found, lambda entry: entry.config.num_gpus < num_gpus)


def _split_finding(
    study: Study,
    claim: str,
    places: Sequence[tuple[str, GpuType, WorkloadType]],
    ahead: Callable[[Entry], bool],
    behind: Callable[[Entry], bool] | None = None,
) -> Finding | None:
    """Whether configurations of a kind are best on all `places`; those without both kinds do not count."""
    cases = [
        case
        for model, gpu, workload in places
        for case in _split(study.by_rate(model, gpu.name, workload.name), ahead, behind)
    ]
    return Finding(claim, tuple(cases)) if cases else None


def _split(
    found: Sequence[Entry], ahead: Callable[[Entry], bool], behind: Callable[[Entry], bool] | None = None
) -> Iterator[Case]:
    """The best configuration of a kind over the best of another, by default of the rest."""
    inside = next((entry for entry in found if ahead(entry)), None)
    outside = next((entry for entry in found if (behind(entry) if behind else not ahead(entry))), None)
    if inside is not None and outside is not None:
        yield _case(f"{_where(inside)} on {inside.gpu}", inside, outside, per_gpu=True)


def _assignment(study: Study) -> Observation | None:
    found = gains(study)
    if not found:
        return None
    cases = [Case(gain.model, gain.mix, " + ".join(gain.gpus), gain.single_gpu, gain.over_single) for gain in found]
    per_model, together = [case for case in cases if case.model], [case for case in cases if not case.model]
    findings = [
        Finding("assigning types of request to GPU types beats the best single one, for one model", tuple(per_model))
    ]
    if together:
        findings.append(Finding("the same for all models together", tuple(together)))
    return Observation(
        "So it pays to send each type of request to the GPU type that suits it",
        tuple(cases),
        PAPER_OVER_BEST_SINGLE,
        "mixed fleet over the best fleet of one GPU type, within budget and stock",
        tuple(each for each in findings if each.cases),
    )


def _case(where: str, ahead: Entry, behind: Entry, *, per_gpu: bool = False) -> Case:
    return Case(ahead.model, where, _named(ahead), _named(behind), compare(ahead, behind, per_gpu=per_gpu))


def _named(entry: Entry) -> str:
    return f"{entry.gpu} {entry.config.parallel_label}"


def _where(entry: Entry) -> str:
    return entry.workload.name


def _small_models(study: Study) -> list[str]:
    """Models that one GPU of the consumer class holds."""
    return [model.name for model in study.models if _held_by(study, model.name, GpuClass.CONSUMER)]


def _large_models(study: Study) -> list[str]:
    """Models that no single GPU of the workstation class holds."""
    small = _small_models(study)
    held = (model.name for model in study.models if _held_by(study, model.name, GpuClass.WORKSTATION))
    medium = set(held)
    return [model.name for model in study.models if model.name not in medium and model.name not in small]


def _held_by(study: Study, model: str, kind: GpuClass) -> bool:
    return any(gpu_class(gpu) is kind and holds_alone(study, model, gpu) for gpu in study.gpus)


def _extremes(workloads: Sequence[WorkloadType]) -> tuple[WorkloadType, WorkloadType]:
    """The prompt-heavy and the answer-heavy type."""
    ordered = sorted(workloads, key=lambda kind: kind.input_tokens / kind.output_tokens)
    return ordered[-1], ordered[0]


def _longest(workloads: Sequence[WorkloadType]) -> WorkloadType:
    return max(workloads, key=lambda kind: kind.input_tokens + kind.output_tokens)


def _shortest(workloads: Sequence[WorkloadType]) -> WorkloadType:
    return min(workloads, key=lambda kind: kind.input_tokens + kind.output_tokens)
