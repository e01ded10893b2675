"""The canonical JSON that digests and signatures are taken over."""

from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from agentd.events.codec import Malformed, canonical

_LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(st.dictionaries(st.text(), _VALUES, max_size=6))
@example({"b": 1, "a": [2, "x"], "": {"z": None, "A": True}})
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": ": 1.5", "b": 1e21, "c": [-0.0, 333333333.33333329]})
@example({"a": '\u007f\u0000"\\/\b', "b": 9007199254740991})
def test_it_is_that_of_rfc_8785(document: dict[str, Any]) -> None:
    try:
        expected = rfc8785.dumps(document)
    except rfc8785.CanonicalizationError:
        with pytest.raises(Malformed):
            canonical(document)
    else:
        assert canonical(document) == expected


@pytest.mark.parametrize("number", [2**53, -(2**53), float("nan"), float("inf"), -float("inf")])
def test_what_has_no_canonical_form_is_refused(number: float) -> None:
    with pytest.raises(Malformed, match="has no canonical form"):
        canonical({"data": [number]})


def test_signature_and_trace_are_left_out() -> None:
    assert canonical({"id": "1", "signature": "s", "traceparent": "t", "tracestate": "u"}) == b'{"id":"1"}'
