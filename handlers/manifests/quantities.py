"""Kubernetes quantities, as far as events have them."""

from decimal import Decimal

# Source: the serialisation format of resource.Quantity.
_SUFFIXES = {
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
}


def value(quantity: str) -> Decimal:
    """The number that a quantity such as `64Gi` or `250m` stands for."""
    for suffix, factor in _SUFFIXES.items():
        if quantity.endswith(suffix):
            return Decimal(quantity.removesuffix(suffix)) * factor
    return Decimal(quantity)


def smaller(one: str, other: str) -> str:
    """The smaller of two quantities, as it is spelled."""
    return min(one, other, key=value)
