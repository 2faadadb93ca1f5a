"""Metrics as text in Prometheus' format, read into samples: those of a gateway, or of an engine."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)"  # name
    r"(?:\{((?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?"  # labels
    r"[ \t]+([^ \t]+)"  # value
    r"(?:[ \t]+-?[0-9.eE+-]+)?[ \t]*(?:#.*)?"  # time, example
)
LABEL = re.compile(r"[ \t,]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*\"((?:[^\"\\]|\\.)*)\"[ \t]*")
ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Sample:
    """One figure, in the unit that its name says."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict, hash=False)


def read_samples(text: str, is_wanted: Callable[[str], bool] | None = None) -> Iterator[Sample]:
    """Samples of `text`, line by line.

    Parameters
        is_wanted    Of a name, whether its samples are; default: all.
    Raises           ValueError: a line that is no sample and no comment; it says which.
    Notes            Times of samples are passed over, and so are the examples of OpenMetrics.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line[0] == "#" or line.isspace():
            continue
        match = SAMPLE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is no sample: {line[:80]!r}")
        name, labels, value = match.groups()
        if is_wanted is None or is_wanted(name):
            try:
                figure = float(value)
            except ValueError:
                raise ValueError(f"line {number} has no number: {line[:80]!r}") from None
            yield Sample(name, figure, _labels(labels or "", number))


def _labels(text: str, number: int) -> dict[str, str]:
    found, at = {}, 0
    while at < len(text.rstrip(", \t")):
        match = LABEL.match(text, at)
        if match is None:
            raise ValueError(f"line {number} has labels that cannot be read: {text[:80]!r}")
        found[match[1]] = ESCAPED.sub(lambda each: "\n" if each[1] == "n" else each[1], match[2])
        at = match.end()
    return found
