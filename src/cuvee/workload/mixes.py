"""Demand without a trace: the paper's three mixes, and mixes from a file of one's own."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from cuvee.errors import InputError, UnknownNameError
from cuvee.files import read_text
from cuvee.workload.edges import locate, paper_edges
from cuvee.workload.mix_files import MixFile, MixRow, amount_of, parse_csv, parse_yaml
from cuvee.workload.records import MAX_TOKENS_PER_REQUEST, Demand, LengthBox, WorkloadType, type_names

REQUESTS_PER_MIX: Final = 1000.0
"""Requests that shares are scaled to [-]; a plan needs only their ratio."""

_MIX_SUFFIXES: Final = (".csv", ".yaml", ".yml", ".csv.gz", ".yaml.gz", ".yml.gz")
_MAX_AMOUNT: Final = 1e12
_MAX_FILE_MB: Final = 1.0
_PAPER_FILE: Final = "data/paper_mixes.csv"


def mix_names() -> tuple[str, ...]:
    """Names of the built-in mixes."""
    return tuple(dict.fromkeys(row.fields["mix"] for row in _paper_rows()))


def load_mix(name: str | Path) -> Demand:
    """Demand of a built-in mix, or of a mix file.

    Parameters
        name    "trace-1", "trace-2" or "trace-3" (also "trace1", "paper-1", "paper-trace-1"); or the path of a
                file ending in .csv, .yaml or .yml, as `load_demand_file` reads.
    Raises      UnknownNameError: neither; InputError: the file cannot be used.
    Source      Jiang et al., "Demystifying Cost-Efficiency in LLM Serving over Heterogeneous GPUs", ICML 2025
                (arXiv 2502.00722), Table 5.
    """
    if isinstance(name, Path) or name.lower().endswith(_MIX_SUFFIXES):
        return load_demand_file(name)
    mix = _aliases().get(name.strip().lower())
    if mix is None:
        remedy = "name a built-in mix, or the path of a .csv or .yaml mix file"
        raise UnknownNameError("mix", name, mix_names(), remedy=remedy)
    rows = [
        MixRow(row.place, {field: text for field, text in row.fields.items() if field != "mix"})
        for row in _paper_rows()
        if row.fields["mix"] == mix
    ]
    return _demand(MixFile(rows, name=f"paper-{mix}"), _PAPER_FILE, boxes=paper_edges().boxes())


def load_demand_file(path: str | Path) -> Demand:
    """Demand of a mix file.

    Parameters
        path    CSV with a header, or YAML: a list of types, or a mapping with `types` and, where it likes,
                `name` and the `rate_req_per_s` of all types. Each type has mean input_tokens and
                output_tokens, and one of share, num_requests and rate_req_per_s; a name where it likes.
    Returns     demand; shares and rates are scaled to 1000 requests, and rates add up to `rate_req_per_s`.
    Raises      InputError: unreadable, a field unknown or missing, a value that is no number of its kind.
    """
    place = str(path)
    is_yaml = place.lower().removesuffix(".gz").endswith((".yaml", ".yml"))
    content = (parse_yaml if is_yaml else parse_csv)(read_text(path, max_mb=_MAX_FILE_MB), place)
    return _demand(content, place)


def _demand(content: MixFile, place: str, *, boxes: Sequence[LengthBox] = ()) -> Demand:
    """Demand of a mix; types without requests are dropped, with a note."""
    amount = amount_of(content.rows, place)
    amounts = [row.number(amount, at_most=_MAX_AMOUNT, zero=True) for row in content.rows]
    used = [(row, value) for row, value in zip(content.rows, amounts, strict=True) if value > 0]
    if not used:
        raise InputError(f"{place}: every {amount} is 0", expected=f"at least one {amount} above 0", remedy="raise one")
    scale = 1.0 if amount == "num_requests" else REQUESTS_PER_MIX / sum(amounts)
    num_empty = len(amounts) - len(used)
    return Demand(
        types=_types([row for row, _ in used], boxes),
        num_requests=tuple(value * scale for _, value in used),
        rate_req_per_s=_rate(content, place, sum(amounts) if amount == "rate_req_per_s" else None),
        name=content.name or Path(place).name.split(".")[0],
        notes=(f"types without requests left out: {num_empty}",) if num_empty else (),
    )


def _rate(content: MixFile, place: str, summed_req_per_s: float | None) -> float | None:
    if not content.rate_req_per_s:
        return summed_req_per_s
    if summed_req_per_s is not None:
        raise InputError(
            f"{place}: rate_req_per_s both of all types and of each",
            expected="one of the two",
            remedy="remove the rate of all types",
        )
    whole = MixRow(place, {"rate_req_per_s": content.rate_req_per_s})
    return whole.number("rate_req_per_s", at_most=_MAX_AMOUNT)


def _types(rows: Sequence[MixRow], boxes: Sequence[LengthBox]) -> tuple[WorkloadType, ...]:
    means = [
        (
            row.number("input_tokens", at_most=MAX_TOKENS_PER_REQUEST),
            row.number("output_tokens", at_most=MAX_TOKENS_PER_REQUEST),
        )
        for row in rows
    ]
    inside = locate(boxes, *np.array(means).T).tolist()
    return tuple(
        WorkloadType(row.fields.get("name", "").strip() or name, *mean, boxes[box] if box >= 0 else None)
        for row, name, mean, box in zip(rows, type_names(means), means, inside, strict=True)
    )


def _aliases() -> dict[str, str]:
    """Every spelling of a built-in mix."""
    spellings = {}
    for mix in mix_names():
        number = mix.removeprefix("trace-")
        for alias in (mix, f"trace{number}", f"paper-{number}", f"paper-{mix}", f"paper-trace{number}"):
            spellings[alias] = mix
    return spellings


def _paper_rows() -> Sequence[MixRow]:
    text = resources.files("cuvee.workload").joinpath(_PAPER_FILE).read_text(encoding="utf-8")
    return parse_csv(text, _PAPER_FILE).rows
