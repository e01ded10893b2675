"""Resource quantities: reading them, adding them up, and their canonical spelling. Pure.

Source: the API's reference of Quantity: a number with a suffix (Ki, Mi, ... or n, u, m, k, M, ... or an exponent).
"""

import re
from fractions import Fraction
from math import ceil
from types import MappingProxyType

_PATTERN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$")
_BINARY = MappingProxyType({f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)})
_DECIMAL_NAMES = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_DECIMAL = MappingProxyType({name: Fraction(1000) ** (power - 3) for power, name in enumerate(_DECIMAL_NAMES)})
_KIBI = 1024
_NANO = Fraction(1, 10**9)
_EXPONENT = "e"


class BadQuantity(ValueError):
    """Not a quantity."""


def parse(text: str | float) -> Fraction:
    """The number that a quantity stands for. Raises BadQuantity."""
    return _read(text)[0]


def canonical(text: str | float) -> str:
    """The same quantity as the API spells it: whole, with the largest suffix that keeps it so. Raises BadQuantity."""
    value, suffix = _read(text)
    return spelled(value, suffix)


def spelled(value: Fraction, like: str = "") -> str:
    """A number in the family of suffixes that `like` belongs to."""
    value = Fraction(ceil(value / _NANO)) * _NANO if value % _NANO else value
    if like.endswith("i") and value.denominator == 1 and abs(value) >= _KIBI:
        return _largest(value, _BINARY) or str(value)
    if like[:1] in ("e", "E") and like not in _DECIMAL:
        return _exponential(value)
    return _largest(value, _DECIMAL) or str(value)


def family(text: str | float) -> str:
    """The suffix of a quantity."""
    return _read(text)[1]


def _read(text: str | float) -> tuple[Fraction, str]:
    found = _PATTERN.match(str(text))
    if found is None:
        raise BadQuantity("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix = Fraction(found[1]), found[2] or ""
    if suffix in _BINARY:
        return number * _BINARY[suffix], suffix
    if suffix in _DECIMAL:
        return number * _DECIMAL[suffix], suffix
    return number * Fraction(10) ** int(suffix[1:]), suffix


def _largest(value: Fraction, units: MappingProxyType[str, Fraction] | MappingProxyType[str, int]) -> str | None:
    if not value:
        return "0"
    for name in reversed(units):
        count = value / units[name]
        if count.denominator == 1:
            return f"{count}{name}"
    return None


def _exponential(value: Fraction) -> str:
    power = 0
    while value and value.denominator == 1 and value % 1000 == 0:
        value, power = value / 1000, power + 3
    while value.denominator != 1:
        value, power = value * 1000, power - 3
    return f"{value}{_EXPONENT}{power}" if power else str(value)
