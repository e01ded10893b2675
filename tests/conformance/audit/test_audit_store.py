"""The audit store port, on a bucket and on a folder; and a whole log that is sent to a bucket whose answers fail."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

from agentd.audit.report import Verdict
from agentd.audit.verification import verify
from agentd.core import AuditStore, PermanentError, Reason, TransientError, system_runtime
from agentd.embedded import EmbeddedCloud, Fault, FaultKind
from agentd.platform.aws.audit import S3AuditStore
from agentd.platform.local.audit import FolderAuditStore
from agentd.telemetry import Metrics
from tests.conformance.registry.support import aws_session, ministack, moto
from tests.servers.processes import REGION
from tests.unit.audit.rig import SMALL, files, opened

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "replica-1/000001.jsonl"


@dataclass
class Place:
    """One store, and a look past it at what is kept."""

    store: AuditStore
    kept: Callable[[str], Awaitable[bytes]]
    scope: str

    def name(self) -> str:
        """Of a file that is not there yet."""
        return f"{uuid4()}/000001.jsonl"


@asynccontextmanager
async def _bucket(endpoint_url: str) -> AsyncIterator[Place]:
    async with aws_session(endpoint_url) as session:
        client, bucket = await session.s3(), f"bucket-{uuid4()}"
        await client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]  # the stubs know other regions
        store = _s3(client, bucket)

        async def kept(name: str) -> bytes:
            answer = await client.get_object(Bucket=bucket, Key=f"audit/tenant/cluster/{name}")
            return await answer["Body"].read()

        yield Place(store, kept, f"s3://{bucket}/audit/tenant/cluster/")


def _s3(client: "S3Client", bucket: str) -> S3AuditStore:
    return S3AuditStore(
        client, bucket=bucket, prefix="audit/tenant/cluster", timeout_s=10, metrics=Metrics(), runtime=system_runtime()
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
    root = folder / "made" / "copies"

    async def kept(name: str) -> bytes:
        return (root / name).read_bytes()

    yield Place(FolderAuditStore(root, timeout_s=10), kept, f"{root}/")


PLACES: dict[str, Callable[[Path], AbstractAsyncContextManager[Place]]] = {
    "ministack": _ministack,
    "moto": _moto,
    "folder": _folder,
}


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["ministack", pytest.param("moto", marks=pytest.mark.slow), "folder"]
)
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with PLACES[request.param](tmp_path_factory.mktemp("copies")) as opened_place:
        yield opened_place


async def test_what_is_put_is_kept(place: Place) -> None:
    name = place.name()
    await place.store.put(name, b"one\ntwo\n")
    assert await place.kept(name) == b"one\ntwo\n"


async def test_the_same_again_changes_nothing(place: Place) -> None:
    name = place.name()
    await place.store.put(name, b"same\n")
    await place.store.put(name, b"same\n")
    assert await place.kept(name) == b"same\n"


@pytest.mark.parametrize("there", [b"other", b"same\nand more\n", b"SAME\n"])
async def test_nothing_is_ever_replaced(place: Place, there: bytes) -> None:
    name = place.name()
    await place.store.put(name, there)
    with pytest.raises(PermanentError, match="holds something else") as caught:
        await place.store.put(name, b"same\n")
    assert caught.value.reason is Reason.CONFLICT
    assert place.scope + name in caught.value.message
    assert await place.kept(name) == there


async def test_a_copy_in_a_folder_that_was_not_finished_is(tmp_path: Path) -> None:
    store = FolderAuditStore(tmp_path, timeout_s=10)
    (tmp_path / "replica-1").mkdir()
    (tmp_path / NAME).write_bytes(b"one\ntw")
    await store.put(NAME, b"one\ntwo\n")
    assert (tmp_path / NAME).read_bytes() == b"one\ntwo\n"


async def test_a_folder_that_cannot_be_made_is_a_passing_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match=r"file/replica-1/000001\.jsonl: ") as caught:
        await FolderAuditStore(tmp_path / "file", timeout_s=10).put(NAME, b"one\n")
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_bucket_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with ministack() as endpoint_url, aws_session(endpoint_url) as session:
        store = _s3(await session.s3(), "missing")
        with pytest.raises(TransientError, match=r"s3 PutObject on s3://missing/audit/tenant/cluster/.*NoSuchBucket"):
            await store.put(NAME, b"one\n")


async def test_a_log_reaches_a_bucket_whatever_fails_on_the_way(tmp_path: Path) -> None:
    async with EmbeddedCloud.start() as cloud, _bucket(cloud.endpoint_url) as place:
        put = {"service": "s3", "operation": "PutObject"}
        async with opened(tmp_path / "audit", store=place.store, segment_bytes=SMALL) as rig:
            uploads = rig.audit.uploads
            assert uploads is not None
            for number in range(40):
                rig.append(number)
            await rig.log.flush()
            denied = Fault(kind=FaultKind.ERROR, status=403, code="AccessDenied", times=None, **put)
            fault = await cloud.inject(denied)
            assert not await uploads.round()
            assert rig.value("uploads_total", result="refused") == len(files(tmp_path / "audit")) - 1
            await cloud.clear(fault)
            # Taken, but the answer is lost: what the SDK sends again is in the way of itself.
            await cloud.inject(Fault(kind=FaultKind.DROP_AFTER, times=1, **put))
            await cloud.inject(Fault(kind=FaultKind.ERROR, status=503, code="SlowDown", times=2, **put))
            assert await uploads.round()
            assert (await cloud.calls())["s3", "GetObject"] == 1, "it looked at what was in the way"
        for file in files(tmp_path / "audit"):
            name = f"replica-1/{file.name}"
            copy = tmp_path / "copy" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(await place.kept(name))
        assert len(files(tmp_path / "copy")) > 2
        assert verify([tmp_path / "copy"]).verdict is Verdict.INTACT
        assert verify([tmp_path / "audit", tmp_path / "copy"]).verdict is Verdict.INTACT
