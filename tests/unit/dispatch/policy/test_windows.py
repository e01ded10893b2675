"""Hours of days in a time zone, also across midnight and when clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dispatch.policy.policies import policy

BRUSSELS = ZoneInfo("Europe/Brussels")


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS).timestamp()


def _opens(windows: str, now: str) -> str | None:
    schedule = policy(f"- {{name: one, effect: allow, windows: [{windows}]}}").rules[0].schedule
    assert schedule is not None
    opens = schedule.opens_at(_at(now))
    return None if opens is None else datetime.fromtimestamp(opens, BRUSSELS).strftime("%a %Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("windows", "now", "opens"),
    [
        # 2026-11-24 is a Tuesday
        ("{days: [mon-thu], hours: 09:00-16:30}", "2026-11-24T12:00", "Tue 2026-11-24 12:00"),
        ("{days: [mon-thu], hours: 09:00-16:30}", "2026-11-24T09:00", "Tue 2026-11-24 09:00"),
        ("{days: [mon-thu], hours: 09:00-16:30}", "2026-11-24T08:59", "Tue 2026-11-24 09:00"),
        ("{days: [mon-thu], hours: 09:00-16:30}", "2026-11-24T16:30", "Wed 2026-11-25 09:00"),
        ("{days: [mon-thu], hours: 09:00-16:30}", "2026-11-26T17:00", "Mon 2026-11-30 09:00"),
        ("{days: [tue], hours: 22:00-06:00}", "2026-11-25T05:59", "Wed 2026-11-25 05:59"),
        ("{days: [tue], hours: 22:00-06:00}", "2026-11-25T06:00", "Tue 2026-12-01 22:00"),
        ("{days: [tue], hours: 22:00-24:00}", "2026-11-24T23:59", "Tue 2026-11-24 23:59"),
        ("{days: [tue], hours: 22:00-24:00}", "2026-11-25T00:00", "Tue 2026-12-01 22:00"),
        ("{days: [sat]}, {hours: 20:00-21:00}", "2026-11-27T21:30", "Sat 2026-11-28 00:00"),
        ("{dates: {first: 2027-03-01}}", "2026-11-24T12:00", "Mon 2027-03-01 00:00"),
        ("{dates: {last: 2026-11-23}}", "2026-11-24T12:00", None),
        ("{days: [sun], dates: {first: 2027-02-01, last: 2027-02-06}}", "2026-11-24T12:00", None),
        # Clocks go from 02:00 to 03:00 on 2027-03-28, and from 03:00 back to 02:00 on 2026-10-25.
        ("{days: [sun], hours: 01:00-05:00}", "2027-03-27T12:00", "Sun 2027-03-28 01:00"),
        ("{days: [sun], hours: 02:30-05:00}", "2026-10-24T12:00", "Sun 2026-10-25 02:30"),
    ],
)
def test_it_is_open_or_says_when_it_opens(windows: str, now: str, opens: str | None) -> None:
    assert _opens(windows, now) == opens


@given(
    st.floats(_at("2026-01-01T00:00"), _at("2028-01-01T00:00")),
    st.lists(st.floats(0, 10 * 86400), max_size=10),
)
def test_it_says_the_same_whatever_it_was_asked_before(first: float, steps: list[float]) -> None:
    """And it opens when it says so."""
    text = "- {name: one, effect: allow, windows: [{days: [mon, fri], hours: 22:00-06:00}, {days: [tue], hours: 09:00-10:00}]}"
    asked = policy(text).rules[0].schedule
    assert asked is not None
    for now in (first, *(first + step for step in steps), first):
        fresh = policy(text).rules[0].schedule
        assert fresh is not None
        opens = asked.opens_at(now)
        assert opens == fresh.opens_at(now)
        assert opens is not None
        assert now <= opens < now + 7 * 86400
        assert fresh.opens_at(opens) == opens
