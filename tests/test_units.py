"""How numbers are shown."""

import pytest

from cuvee.units import rounded


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (5000.0, 3, "5,000"),
        (1234567.8, 3, "1,234,568"),
        (999.6, 3, "1,000"),
        (45.06, 3, "45.1"),
        (0.05123, 3, "0.0512"),
        (0.0, 3, "0"),
        (-4321.0, 3, "-4,321"),
        (32768.4, 4, "32,768"),
        (300.25, 4, "300.2"),
    ],
)
def test_all_digits_before_the_point(value, digits, expected):
    """Tempting: Python's .3g, which writes 5e+03."""
    assert rounded(value, digits) == expected
