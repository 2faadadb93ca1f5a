"""Precisions as people write them."""

import pytest

from cuvee.catalog.quantization import written_precision


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FP8", "fp8"),
        ("fp8?", "fp8"),
        (" W4A16 ", "int4"),
        ("int4-AWQ", "int4"),
        ("fp16", "bf16"),
        ("?", ""),
        ("auto", "auto"),
        ("nvfp5", "nvfp5"),
    ],
)
def test_names_of_precisions(text, name):
    """Case, a doubtful question mark and the name of a method do not matter; what is not known stays as it is."""
    assert written_precision(text) == name
