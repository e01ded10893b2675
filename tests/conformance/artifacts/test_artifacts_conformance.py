"""The artifact store port, on a bucket and on a folder."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from agentd.core import ArtifactStore, PermanentError, Reason, system_runtime
from agentd.platform.aws.artifacts import S3Artifacts
from agentd.platform.local.artifacts import FileArtifacts
from agentd.telemetry import Metrics
from tests.conformance.registry.support import aws_session, ministack, moto
from tests.servers.processes import REGION

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Place:
    """One store; `outside` are URIs that look like its own and are not."""

    store: ArtifactStore
    missing: str
    outside: tuple[str, ...]


@asynccontextmanager
async def _bucket(endpoint_url: str) -> AsyncIterator[Place]:
    async with aws_session(endpoint_url) as session:
        client = await session.s3()
        name = f"bucket-{uuid4()}"
        await client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]  # the stubs know other regions
        await client.put_object(Bucket=name, Key="events-of-others/secret", Body=b"secret")
        await client.put_object(Bucket=name, Key="secret", Body=b"secret")
        store = S3Artifacts(
            client, bucket=name, prefix="events", timeout_s=10, metrics=Metrics(), runtime=system_runtime()
        )
        yield Place(
            store,
            missing=f"s3://{name}/events/missing",
            outside=(
                f"s3://{name}/secret",
                f"s3://{name}/events-of-others/secret",
                f"s3://{name}/events/../secret",
                f"s3://{name}-2/events/a",
                f"https://{name}/events/a",
                f"s3://{name}",
                "events/a",
                "",
            ),
        )


@asynccontextmanager
async def _ministack(_folder: Path) -> AsyncIterator[Place]:
    async with ministack() as endpoint_url, _bucket(endpoint_url) as place:
        yield place


@asynccontextmanager
async def _moto(_folder: Path) -> AsyncIterator[Place]:
    async with moto() as endpoint_url, _bucket(endpoint_url) as place:
        yield place


@asynccontextmanager
async def _folder(folder: Path) -> AsyncIterator[Place]:
    root = folder / "artifacts"
    root.mkdir()
    (folder / "secret").write_bytes(b"secret")
    (folder / "artifacts-of-others").write_bytes(b"secret")
    (root / "link").symlink_to(folder / "secret")
    yield Place(
        FileArtifacts(root, timeout_s=10),
        missing=(root / "missing").as_uri(),
        outside=(
            (folder / "secret").as_uri(),
            (folder / "artifacts-of-others").as_uri(),
            f"{root.as_uri()}/../secret",
            f"{root.as_uri()}/%2e%2e/secret",
            f"{root.as_uri()}/link",
            f"file://elsewhere{root}/a",
            f"s3://bucket{root}/a",
            "artifacts/a",
            "",
        ),
    )


PLACES: dict[str, Callable[[Path], AbstractAsyncContextManager[Place]]] = {
    "ministack": _ministack,
    "moto": _moto,
    "folder": _folder,
}


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["ministack", pytest.param("moto", marks=pytest.mark.slow), "folder"]
)
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with PLACES[request.param](tmp_path_factory.mktemp("artifacts")) as opened:
        yield opened


@pytest.mark.parametrize("key", ["one", "events/2030/6f0c.json", "with space & ünicode?#%"])
async def test_what_is_stored_is_fetched(place: Place, key: str) -> None:
    data = key.encode() * 1000
    uri = await place.store.store(key, data)
    assert await place.store.fetch(uri, limit_bytes=len(data)) == data


async def test_storing_again_replaces(place: Place) -> None:
    first = await place.store.store("again", b"first")
    assert await place.store.store("again", b"second") == first
    assert await place.store.fetch(first, limit_bytes=100) == b"second"


async def test_an_empty_object_is_one(place: Place) -> None:
    assert await place.store.fetch(await place.store.store("empty", b""), limit_bytes=0) == b""


async def test_a_missing_object_is_named(place: Place) -> None:
    with pytest.raises(PermanentError, match="missing is not there") as caught:
        await place.store.fetch(place.missing, limit_bytes=100)
    assert caught.value.reason is Reason.DATA_UNAVAILABLE


async def test_an_object_over_the_limit_is_refused(place: Place) -> None:
    uri = await place.store.store("large", b"x" * 1_000_001)
    with pytest.raises(PermanentError, match="larger than the limit of 1000000 bytes") as caught:
        await place.store.fetch(uri, limit_bytes=1_000_000)
    assert caught.value.reason is Reason.DATA_UNAVAILABLE


async def test_nothing_outside_is_read(place: Place) -> None:
    for uri in place.outside:
        with pytest.raises(PermanentError, match="not in this agent's artifact store") as caught:
            await place.store.fetch(uri, limit_bytes=100)
        assert caught.value.reason is Reason.DATA_UNAVAILABLE, uri


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../secret", "a/../../secret"])
async def test_nothing_outside_is_written(place: Place, key: str) -> None:
    with pytest.raises(PermanentError, match="leads out of the artifact store"):
        await place.store.store(key, b"data")
