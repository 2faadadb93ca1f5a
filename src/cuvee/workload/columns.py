"""Which columns of a file hold the lengths, the arrival and the model of a request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from cuvee.errors import InputError
from cuvee.files import require_commas

ArrivalUnit = Literal["s", "ms", "iso"]


@dataclass(frozen=True)
class ColumnNames:
    """Columns of a CSV file, or keys of a JSONL file, that make a request.

    Attributes
        input_tokens    Prompt length [tokens]; several names are added up, as for text and images.
        output_tokens   Answer length [tokens].
        arrival         Arrival time; None where the file has lengths only.
        model           Model asked for; None where the file has one model.
        blocks          Numbers of the blocks of the prompt, equal where prompts begin alike; None without.
        arrival_unit    Seconds "s", milliseconds "ms", or date and time "iso" (UTC where no zone is given).
    """

    input_tokens: str | tuple[str, ...]
    output_tokens: str
    arrival: str | None = None
    model: str | None = None
    blocks: str | None = None
    arrival_unit: ArrivalUnit = "s"

    def __post_init__(self) -> None:
        if self.arrival_unit not in get_args(ArrivalUnit):
            raise InputError(
                f"arrival_unit = {self.arrival_unit!r}",
                expected=f"one of {', '.join(get_args(ArrivalUnit))}",
            )
        if not self.input_columns or not all(self.used):
            raise InputError(f"column names {self!r}", expected="no empty name, and at least one input column")

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that add up to the prompt length."""
        return (self.input_tokens,) if isinstance(self.input_tokens, str) else tuple(self.input_tokens)

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that is read."""
        optional = (name for name in (self.arrival, self.model, self.blocks) if name is not None)
        return (*self.input_columns, self.output_tokens, *optional)


# The richer form of a family stands before the poorer: the first whose columns are all there is taken.
KNOWN_FORMATS: Final[dict[str, ColumnNames]] = {
    "Azure": ColumnNames("ContextTokens", "GeneratedTokens", arrival="TIMESTAMP", arrival_unit="iso"),
    "BurstGPT": ColumnNames("Request tokens", "Response tokens", arrival="Timestamp", model="Model"),
    "Mooncake, with prefixes": ColumnNames(
        "input_length", "output_length", arrival="timestamp", blocks="hash_ids", arrival_unit="ms"
    ),
    "Mooncake": ColumnNames("input_length", "output_length", arrival="timestamp", arrival_unit="ms"),
    "ServeGen multimodal": ColumnNames(("text_tokens", "image_tokens"), "output_tokens", arrival="arrival_s"),
    "cuvee, several models": ColumnNames("input_tokens", "output_tokens", arrival="arrival_s", model="model"),
    "cuvee": ColumnNames("input_tokens", "output_tokens", arrival="arrival_s"),
    "lengths only": ColumnNames("input_tokens", "output_tokens"),
}


def find_columns(header: Sequence[str], place: str, asked: ColumnNames | None) -> ColumnNames:
    """Columns to read from a file with this header.

    Parameters
        header    Column names, or keys of the first JSON object.
        place     File and line of the header, for messages.
        asked     Columns the user named; None to recognise the format.
    Raises      InputError: no known format, a named column is missing, or a column to read stands twice.
    """
    candidates = KNOWN_FORMATS.values() if asked is None else [asked]
    for columns in candidates:
        if set(columns.used) <= set(header):
            _check_unique(columns, header, place)
            return columns
    require_commas(header, place)
    if asked is None:
        formats = "; ".join(f"{label}: {', '.join(names.used)}" for label, names in KNOWN_FORMATS.items())
        raise InputError(
            f"{place}: columns {_shown(header)}",
            expected=f"the columns of a known trace format ({formats})",
            remedy="rename the columns, e.g. to input_tokens, output_tokens and arrival_s, or name them: "
            "--input-column and --output-column of cuvee workload, trace_columns of a scenario",
        )
    missing = [name for name in asked.used if name not in header]
    raise InputError(
        f"{place}: no column {_shown(missing)}",
        expected=f"names out of {_shown(header)}",
        remedy="correct the column names",
    )


def _check_unique(columns: ColumnNames, header: Sequence[str], place: str) -> None:
    for name in columns.used:
        if list(header).count(name) > 1:
            raise InputError(
                f"{place}: column {name!r} stands {list(header).count(name)} times",
                expected="each column to read once",
                remedy="rename or remove the repeated column",
            )


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
