"""A forged, expired, replayed or misaddressed event never reaches a handler: shown over mutations of valid ones.

The dispatcher and the ledger are the real ones. What is sent is whatever somebody makes of genuine events who may put
messages on the queue, has a key of their own and another one of the key set, but not the signer's.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from agentd.core import Context, OutcomeKind, Reason, handler
from agentd.events import KeySet, ProjectCreate, SignaturesConfig, Verifier, new_signing_key, public_jwk, sign
from agentd.events.codec import canonical
from tests.unit.dispatch.events import create, delivery, key, uuid, when
from tests.unit.dispatch.world import Replica, new_world
from tests.virtual_time import VirtualTimeLoop, WallClock

Json = dict[str, Any]  # an event, or a JWS header, as JSON
Work = Callable[[Replica, list[str]], Awaitable[None]]

DAY_S = 86400.0
RETENTION_S = 28 * DAY_S  # the ledger's, by default
CONFIG = SignaturesConfig.model_validate({"keys_file": "/keys.json"})

SIGNER, LIMITED, STRANGER = (new_signing_key(name) for name in ("signer", "limited", "stranger"))
KEYS = KeySet.parse(
    json.dumps({"keys": [public_jwk(SIGNER), public_jwk(LIMITED, events=["conveyor.build.*"])]}).encode()
)
GENUINE = sign(create(1, expirytime=when(90 * DAY_S)), SIGNER)
ANOTHER = sign(create(2, of=2, generation=7, actor="bob"), SIGNER)
SEEN = f"{uuid(1)} project-1 1"
"""What the handler sees of the genuine event."""


def on_a_replica(work: Work) -> None:
    """Do the work with a replica on a new ledger, and the list of what reaches its handler."""

    async def main(folder: Path) -> None:
        seen: list[str] = []
        clock = WallClock()

        def now() -> float:
            return clock.now()

        @handler(ProjectCreate, steps=(), timeout_s=60)
        async def see(ctx: Context, data: ProjectCreate) -> None:
            seen.append(f"{ctx.fence.event_id} {data.project_name} {ctx.generation}")

        async with new_world(folder) as world:
            replica = await world.replica(see, verify=Verifier(CONFIG, lambda: KEYS, now))
            replica.clock, clock = clock, replica.clock
            await work(replica, seen)

    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main(Path(folder)))


def _flipped(text: str) -> st.SearchStrategy[str]:
    def flip(position: int, bits: int) -> str:
        raw = bytearray(text.encode())
        raw[position] ^= bits
        return raw.decode(errors="replace")

    return st.builds(flip, st.integers(0, len(text.encode()) - 1), st.integers(1, 255))


def _spliced(text: str) -> st.SearchStrategy[str]:
    """Something taken out, something put in."""
    places = st.integers(0, len(text))
    return st.builds(
        lambda start, end, put_in: text[: min(start, end)] + put_in + text[max(start, end) :],
        places,
        places,
        st.text(max_size=5) | st.sampled_from(['"generation":9,', '"actor":"eve",', "{}", GENUINE[:40]]),
    )


def _crossed() -> st.SearchStrategy[str]:
    """Some members of the one event in the other."""
    one, other = json.loads(GENUINE), json.loads(ANOTHER)
    names = st.sets(st.sampled_from(sorted(one.keys() | other.keys())), min_size=1)
    return names.map(lambda chosen: json.dumps({**one, **{name: other.get(name) for name in chosen if name in other}}))


def _changed() -> st.SearchStrategy[Json]:
    """The genuine event with other values."""
    document = json.loads(GENUINE)
    values = st.sampled_from([None, 0, 1, 2, True, "", "x", uuid(3), when(60), when(1e9), [], {}, document["data"]])
    return st.dictionaries(
        st.sampled_from([*sorted(document), "planhash", "dataref", "extra"]), values, min_size=1
    ).map(lambda changes: {**document, **changes})


def _signed_by_others(document: Json, header: Json, how: str) -> str:
    """The event with a signature of the attacker's making."""
    first = base64url_encode(json.dumps(header).encode()).decode()
    said = canonical(document)
    signing_input = f"{first}.".encode() + said
    match how:
        case "stranger":
            made = STRANGER.key.sign(signing_input)
        case "limited":
            made = LIMITED.key.sign(signing_input)
        case "public":
            made = SIGNER.key.public_key().public_bytes_raw() * 2
        case _:
            made = b""
    return json.dumps({**document, "signature": f"{first}..{base64url_encode(made).decode()}"})


_HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["EdDSA", "none", "HS256", "ES256", "Ed25519", "", None, 1])},
    optional={
        "kid": st.sampled_from(["signer", "limited", "stranger", "", None, 7]),
        "typ": st.sampled_from(["conveyor-event+jws", "conveyor-report+jws", "JWT"]),
        "b64": st.sampled_from([False, True, None, 0]),
        "crit": st.sampled_from([["b64"], ["exp"], [], "b64", ["b64", "b64"]]),
        "jwk": st.just(dict(public_jwk(STRANGER))),
    },
)
_MUTATED = st.one_of(
    _flipped(GENUINE),
    _spliced(GENUINE),
    _crossed(),
    _changed().map(json.dumps),
    st.builds(
        _signed_by_others,
        st.just(json.loads(GENUINE)) | _changed().filter(lambda document: isinstance(document["data"], dict)),
        _HEADERS,
        st.sampled_from(["stranger", "limited", "public", "nobody"]),
    ),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_MUTATED, min_size=1, max_size=30))
def test_a_handler_sees_what_was_signed_or_nothing(sent: list[str]) -> None:
    """Also, nothing that is sent before keeps the genuine event from being carried out, once and as it was signed."""

    async def work(replica: Replica, seen: list[str]) -> None:
        forged = (delivery(text, message_id=f"forged-{number}") for number, text in enumerate(sent))
        await asyncio.gather(*(replica.handle(message) for message in forged))
        assert set(seen) <= {SEEN}
        await replica.handle(delivery(GENUINE, message_id="genuine"))
        assert seen == [SEEN]
        outcome = (await replica.record(key(1))).outcome
        assert outcome is not None
        assert outcome.kind is OutcomeKind.SUCCEEDED

    on_a_replica(work)


_ELSEWHERE = st.uuids(version=4).map(str)
_NOT_FOR_US = st.one_of(
    st.fixed_dictionaries({"tenantid": _ELSEWHERE}),
    st.fixed_dictionaries({"clusterid": _ELSEWHERE}),
    st.floats(-10 * DAY_S, -0.001).map(lambda ago: {"expirytime": when(ago)}),
    st.floats(21 * DAY_S + 1, 400 * DAY_S).map(lambda age: {"time": when(-age)}),
    st.floats(61, 400 * DAY_S).map(lambda ahead: {"time": when(ahead)}),
)


@settings(max_examples=40, deadline=None)
@given(_NOT_FOR_US)
def test_what_was_signed_for_another_place_or_time_is_rejected(changes: Mapping[str, Any]) -> None:
    async def work(replica: Replica, seen: list[str]) -> None:
        await replica.handle(delivery(sign(create(1, **changes), SIGNER)))
        assert seen == []
        (report,) = replica.outlet.reports
        assert report.outcome is not None
        assert report.outcome.kind is OutcomeKind.REJECTED
        assert report.outcome.reason in (Reason.WRONG_AUDIENCE, Reason.EXPIRED, Reason.STALE, Reason.BAD_SIGNATURE)

    on_a_replica(work)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 30 * DAY_S), min_size=1, max_size=6))
def test_an_event_that_is_sent_again_is_carried_out_once(pauses: list[float]) -> None:
    """Also when the ledger has forgotten it: by then it is too old."""

    async def work(replica: Replica, seen: list[str]) -> None:
        await replica.handle(delivery(GENUINE))
        for number, pause_s in enumerate(pauses):
            replica.clock.ahead_s += pause_s
            await replica.ledger.sent([entry.report_id for entry in await replica.ledger.outbox(100)])
            await replica.ledger.purge(finished_before=replica.runtime.now() - RETENTION_S)
            await replica.handle(delivery(GENUINE, message_id=f"again-{number}"))
        assert seen == [SEEN]

    on_a_replica(work)
