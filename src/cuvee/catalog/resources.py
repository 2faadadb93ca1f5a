"""The data files inside the package: opened on first use, never on import."""

import csv
import json
from importlib.resources import files
from typing import Any


def read_data_text(name: str) -> str:
    """Text of `catalog/data/<name>`."""
    return files("cuvee.catalog").joinpath("data", *name.split("/")).read_text(encoding="utf-8")


def read_data_rows(name: str) -> list[dict[str, str]]:
    """Rows of a CSV data file, keyed by column."""
    return list(csv.DictReader(read_data_text(name).splitlines(), strict=True))


def read_data_json(name: str) -> Any:  # noqa: ANN401 the caller knows the shape of its own file
    """Content of a JSON data file."""
    return json.loads(read_data_text(name))
