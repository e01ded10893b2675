"""Tokens for Airflow: what is in them, how long they are used, and which clocks they stand."""

import jwt
import pytest
from jwt.types import Options

from agentd.core import PermanentError, Reason, Runtime, TransientError, system_runtime
from agentd.platform.airflow import AGENT, AirflowAddress, Caller, Role
from agentd.platform.airflow_rest.tokens import Tokens
from tests.unit.platform.airflow.rig import ADDRESS, SECRET, rig
from tests.virtual_time import WallClock

ALICE = Caller("alice@example.com", Role.VIEWER)


class Hand:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.7

    @property
    def tokens(self) -> Tokens:
        return Tokens(Runtime(wall=lambda: self.now, random=system_runtime().random))


def test_a_token_says_who_may_do_what_for_five_minutes() -> None:
    token = Hand().tokens.get(ADDRESS, ALICE)
    assert jwt.get_unverified_header(token) == {"alg": "HS512", "typ": "JWT"}
    timeless: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims = jwt.decode(token, SECRET, ["HS512"], timeless, audience="apache-airflow")
    assert claims == {
        "sub": "alice@example.com",
        "role": "viewer",
        "aud": "apache-airflow",
        "iat": 1_899_999_970,
        "nbf": 1_899_999_970,
        "exp": 1_900_000_270,
    }


def test_a_token_is_used_for_two_minutes() -> None:
    hand = Hand()
    tokens = hand.tokens
    first = tokens.get(ADDRESS, AGENT)
    hand.now += 119
    assert tokens.get(ADDRESS, AGENT) == first
    hand.now += 1
    assert tokens.get(ADDRESS, AGENT) != first


def test_a_clock_that_jumps_back_makes_a_token_useless() -> None:
    hand = Hand()
    tokens = hand.tokens
    first = tokens.get(ADDRESS, AGENT)
    hand.now -= 3600
    assert tokens.get(ADDRESS, AGENT) != first


def test_callers_and_environments_have_tokens_of_their_own() -> None:
    tokens = Hand().tokens
    other = AirflowAddress("test", "", "t" * 64)
    assert len({tokens.get(address, caller) for address in (ADDRESS, other) for caller in (AGENT, ALICE)}) == 4


def test_a_token_that_is_forgotten_is_minted_anew() -> None:
    hand = Hand()
    tokens = hand.tokens
    first = tokens.get(ADDRESS, AGENT)
    hand.now += 1
    tokens.forget(ADDRESS, AGENT)
    assert tokens.get(ADDRESS, AGENT) != first


def test_only_the_tokens_used_last_are_kept() -> None:
    hand = Hand()
    tokens = hand.tokens
    first = tokens.get(ADDRESS, AGENT)
    hand.now += 1
    for number in range(1024):
        tokens.get(ADDRESS, Caller(f"caller {number}", Role.USER))
    assert tokens.get(ADDRESS, AGENT) != first
    newest = tokens.get(ADDRESS, Caller("caller 1023", Role.USER))
    hand.now += 1
    assert tokens.get(ADDRESS, Caller("caller 1023", Role.USER)) == newest


def test_a_secret_that_is_too_short_is_refused_and_never_shown() -> None:
    address = AirflowAddress("dev", "", "short and secret")
    with pytest.raises(PermanentError, match="airflow:dev: its JWT secret is shorter than 64 bytes") as raised:
        Hand().tokens.get(address, AGENT)
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert "short and secret" not in f"{raised.value} {address!r} {address}"


@pytest.mark.parametrize("ahead_s", [-39, 0, 270])
async def test_clocks_may_differ_by_some_seconds(ahead_s: float) -> None:
    async with rig(server_clock=WallClock(ahead_s)) as at:
        assert len(await at.airflow.dags()) == 2


@pytest.mark.parametrize(("ahead_s", "said"), [(-45, "Invalid JWT token"), (290, "Token Expired")])
async def test_a_clock_that_is_wrong_is_named_as_a_cause(ahead_s: float, said: str) -> None:
    async with rig(server_clock=WallClock(ahead_s)) as at:
        with pytest.raises(TransientError, match=f"a clock that is wrong.*{said}"):
            await at.airflow.dags()
        assert at.counted("list dags", "credentials") == 1
