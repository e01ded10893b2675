"""Quantities: what they are, and how the API spells them."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.embedded.kube.quantities import BadQuantity, canonical, parse, spelled


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("0", "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("512Ki", "512Ki"),
        ("1e3", "1e3"),
        ("0.5Ki", "512"),
        (2, "2"),
        (0.25, "250m"),
        ("100n", "100n"),
    ],
)
def test_spelling_is_whole_and_short(told: str | float, shown: str) -> None:
    assert canonical(told) == shown


@pytest.mark.parametrize("told", ["", "abc", "1 Gi", "1gi", "--1", "1Kib"])
def test_nonsense_is_refused(told: str) -> None:
    with pytest.raises(BadQuantity):
        canonical(told)


@settings(deadline=None)
@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi"]))
def test_spelling_keeps_the_amount_and_is_its_own_spelling(number: int, suffix: str) -> None:
    shown = canonical(f"{number}{suffix}")
    assert parse(shown) == parse(f"{number}{suffix}")
    assert canonical(shown) == shown


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_sums_are_exact(one: int, other: int) -> None:
    total = parse(f"{one}m") + parse(f"{other}m")
    assert parse(spelled(total)) == Fraction(one + other, 1000)
