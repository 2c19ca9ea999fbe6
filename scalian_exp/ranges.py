"""Types for numbers with a valid range, which vocabulary/checks.py reads from signatures to check configs.

Python and mypy see plain int and float, so networks that use them work anywhere.
"""

PositiveInt = int
"""1, 2, 3, …"""
NonNegativeInt = int
"""0, 1, 2, …"""
PositiveFloat = float
"""> 0"""
NonNegativeFloat = float
"""≥ 0"""
Seed = int
"""0 to 2³² − 1"""
Fraction = float
"""0 ≤ x ≤ 1"""
FractionBelowOne = float
"""0 ≤ x < 1"""

Fold = str
"""k/n, part k of n: 1 ≤ k ≤ n, n ≥ 2"""

LARGEST = 2**31 - 1
"""upper limit of counts: no machine holds more of anything that is counted here"""
LIMITS: dict[str, tuple[type, float, float, str]] = {
    "PositiveInt": (int, 1, LARGEST, "a whole number from 1"),
    "NonNegativeInt": (int, 0, LARGEST, "a whole number from 0"),
    "Seed": (int, 0, 2**32 - 1, "a whole number from 0 to 4294967295"),
    "PositiveFloat": (float, 5e-324, float("inf"), "a number above 0"),
    "NonNegativeFloat": (float, 0, float("inf"), "a number from 0"),
    "Fraction": (float, 0, 1, "a number from 0 to 1"),
    "FractionBelowOne": (float, 0, 1 - 2**-53, "a number from 0 and below 1"),
}
"""maps a type's name to (Python type, minimum, maximum, description for messages)"""


def fold_of(text: str) -> tuple[int, int]:
    """Return the number and the count of a fold: 1 and 5 for "1/5".

    Raises:
        ValueError: if it is no fold.
    """
    number, count = map(int, text.split("/"))
    if not (1 <= number <= count and count >= 2 and text == f"{number}/{count}"):
        raise ValueError(text)
    return number, count
