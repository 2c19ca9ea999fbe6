"""Types that say which numbers make sense; checks.py reads them from signatures and refuses the others.

For Python and mypy they are plain numbers, so a network that uses them works anywhere.
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

LARGEST = 2**31 - 1
"""of counts: no machine holds more of anything that we count"""
LIMITS: dict[str, tuple[type, float, float, str]] = {
    "PositiveInt": (int, 1, LARGEST, "a whole number from 1"),
    "NonNegativeInt": (int, 0, LARGEST, "a whole number from 0"),
    "Seed": (int, 0, 2**32 - 1, "a whole number from 0 to 4294967295"),
    "PositiveFloat": (float, 5e-324, float("inf"), "a number above 0"),
    "NonNegativeFloat": (float, 0, float("inf"), "a number from 0"),
    "Fraction": (float, 0, 1, "a number from 0 to 1"),
}
"""name → (type, smallest, largest, words)"""
