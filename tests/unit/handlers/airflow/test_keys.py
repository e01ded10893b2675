"""What only one environment's Airflow knows."""

from base64 import b64decode, urlsafe_b64decode
from itertools import count
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.platform import Manifest
from handlers.manifests.airflow import AirflowInstance, AirflowKeys, objects
from handlers.manifests.airflow.keys import DATABASE, KEYS
from tests.unit.handlers.airflow.instances import DEFAULTS, of_kind
from tests.unit.handlers.specs import PLAIN


class Dice:
    """Random bytes that never come twice, and how many have been asked for."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.asked.append(size)
        return next(self._numbers).to_bytes(size, "little")


def secrets(keys: AirflowKeys) -> dict[str, Manifest]:
    """The Secrets that hold them."""
    return of_kind(objects(AirflowInstance(PLAIN, DEFAULTS.releases[0], DEFAULTS, keys, image_volumes=True)), "Secret")


def test_new_keys_are_long_enough_for_what_they_are_used_for() -> None:
    dice = Dice()
    keys = AirflowKeys.settled(None, None, dice)
    assert len(urlsafe_b64decode(keys.fernet_key)) == 32
    assert len(keys.jwt_secret.encode()) >= 64
    assert sorted(dice.asked) == [32, 32, 32, 64]


def test_keys_that_are_there_are_kept_whatever_the_dice_say() -> None:
    first = AirflowKeys.settled(None, None, Dice())
    found = secrets(first)
    dice = Dice()
    again = AirflowKeys.settled(found[KEYS], found[DATABASE], dice)
    assert again == first
    assert dice.asked == []
    assert secrets(again) == found


@pytest.mark.parametrize("lost", [KEYS, DATABASE])
def test_after_a_crash_between_two_secrets_only_what_is_missing_is_made(lost: str) -> None:
    first = AirflowKeys.settled(None, None, Dice())
    found: dict[str, Manifest | None] = {**secrets(first), lost: None}
    again = AirflowKeys.settled(found[KEYS], found[DATABASE], lambda size: b"n" * size)
    kept = (again.fernet_key, again.jwt_secret) == (first.fernet_key, first.jwt_secret)
    assert kept is (lost != KEYS)
    assert (again.database_password == first.database_password) is (lost != DATABASE)


@given(st.binary(min_size=64, max_size=64))
def test_any_password_comes_whole_through_the_urls(noise: bytes) -> None:
    keys = AirflowKeys.settled(None, None, lambda size: noise[:size])
    found = secrets(keys)
    for name in ("connection", "connection-async"):
        url = b64decode(found[DATABASE]["data"][name]).decode()
        assert urlsplit(url).password == keys.database_password


def test_they_are_not_shown() -> None:
    keys = AirflowKeys.settled(None, None, Dice())
    assert keys.fernet_key not in repr(keys)
    assert keys.database_password not in f"{keys}"
