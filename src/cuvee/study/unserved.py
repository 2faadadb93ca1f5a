"""Which kinds of request no GPU type serves, and why."""

from collections.abc import Iterable, Iterator, Sequence

from cuvee.catalog.model import ModelSpec
from cuvee.study.entry import Entry
from cuvee.workload.records import WorkloadType


def too_long(model: ModelSpec, kind: WorkloadType) -> bool:
    """Whether prompt and answer together are more than the model's context."""
    return _tokens(kind) > model.max_context


def unserved(model: ModelSpec, workloads: Sequence[WorkloadType], entries: Iterable[Entry]) -> Iterator[str]:
    """What no entry of `model` serves, with the reason, one a line; what fits no machine only beside what does."""
    served = {entry.workload.name for entry in entries}
    long = [kind for kind in workloads if too_long(model, kind)]
    if long:
        named = ", ".join(f"{kind.name} of {_tokens(kind):.0f} tokens per request" for kind in long)
        yield f"{model.name} cannot serve {named}: its context limit is {model.max_context}"
    others = [kind.name for kind in workloads if kind.name not in served and kind not in long]
    if served and others:
        yield f"{model.name}: no machine on offer holds it with a request of {', '.join(others)}"


def _tokens(kind: WorkloadType) -> float:
    return kind.input_tokens + kind.output_tokens
