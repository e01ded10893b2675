"""The emulated cloud as its users see it: real SDK calls, counted at the server, with faults on demand."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from aiobotocore.session import get_session
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError, ConnectionClosedError
from types_aiobotocore_ecr import ECRClient
from types_aiobotocore_s3 import S3Client
from types_aiobotocore_sqs import SQSClient

from agentd.embedded import EmbeddedCloud, EmbeddedServerError, Fault, FaultKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONCE = BotoConfig(retries={"total_max_attempts": 1}, max_pool_connections=300, read_timeout=20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[EmbeddedCloud]:
    async with EmbeddedCloud.start() as cloud:
        yield cloud


@pytest_asyncio.fixture(loop_scope="module")
async def cloud(running: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch) -> EmbeddedCloud:
    """With no faults, no calls, and an account of the test's own: the access key is its number."""
    await running.clear()
    await running.reset_calls()
    account = {"AWS_ACCESS_KEY_ID": str(uuid4().int)[:12]}
    for name, value in {**running.environment, **account}.items():
        monkeypatch.setenv(name, value)
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def ecr(cloud: EmbeddedCloud) -> AsyncIterator[ECRClient]:
    async with get_session().create_client("ecr", config=ONCE, endpoint_url=cloud.endpoint_url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def s3(cloud: EmbeddedCloud) -> AsyncIterator[S3Client]:
    async with get_session().create_client("s3", config=ONCE, endpoint_url=cloud.endpoint_url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def sqs(cloud: EmbeddedCloud) -> AsyncIterator[SQSClient]:
    async with get_session().create_client("sqs", config=ONCE, endpoint_url=cloud.endpoint_url) as client:
        yield client


async def _names(ecr: ECRClient) -> list[str]:
    return sorted(found["repositoryName"] for found in (await ecr.describe_repositories())["repositories"])


async def test_calls_and_writes_are_counted(cloud: EmbeddedCloud, ecr: ECRClient, s3: S3Client) -> None:
    await ecr.create_repository(repositoryName="team/app")
    await _names(ecr)
    await s3.list_buckets()
    calls = await cloud.calls()
    assert calls == {("ecr", "CreateRepository"): 1, ("ecr", "DescribeRepositories"): 1, ("s3", "ListBuckets"): 1}
    assert cloud.writes(calls) == {("ecr", "CreateRepository"): 1}
    assert cloud.writes(calls, "s3") == {}
    await cloud.reset_calls()
    assert await cloud.calls() == {}


async def test_its_environment_is_all_that_an_sdk_needs(cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    async with get_session().create_client("sts") as sts:
        assert (await sts.get_caller_identity())["Account"] == cloud.environment["AWS_ACCESS_KEY_ID"]
        assert sts.meta.region_name == cloud.region


async def test_an_error_has_no_effect_and_is_spelt_as_the_service_does(
    cloud: EmbeddedCloud, ecr: ECRClient, s3: S3Client
) -> None:
    throttled = await cloud.inject(
        Fault(kind=FaultKind.ERROR, service="ecr", operation="CreateRepository", code="ThrottlingException", times=2)
    )
    for _ in range(2):
        with pytest.raises(ClientError, match=r"ThrottlingException.*Injected fault"):
            await ecr.create_repository(repositoryName="team/app")
    assert await _names(ecr) == []
    assert await cloud.hits(throttled) == 2
    await ecr.create_repository(repositoryName="team/app")
    assert await _names(ecr) == ["team/app"]
    await cloud.inject(Fault(kind=FaultKind.ERROR, service="s3", code="SlowDown", status=503))
    with pytest.raises(ClientError, match="SlowDown"):
        await s3.list_buckets()


async def test_a_dropped_answer_leaves_the_effect_or_not(cloud: EmbeddedCloud, ecr: ECRClient) -> None:
    for kind in (FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER):
        await cloud.inject(Fault(kind=kind, operation="CreateRepository", contains="team/"))
        with pytest.raises(ConnectionClosedError):
            await ecr.create_repository(repositoryName=f"team/{kind}")
    assert await _names(ecr) == ["team/drop_after"]


async def test_a_delayed_call_holds_up_no_other(cloud: EmbeddedCloud, ecr: ECRClient) -> None:
    await cloud.inject(Fault(kind=FaultKind.DELAY, operation="CreateRepository", contains="slow", delay_s=0.5))
    slow = asyncio.ensure_future(ecr.create_repository(repositoryName="slow"))
    await ecr.create_repository(repositoryName="quick")
    assert not slow.done()
    await slow
    assert await _names(ecr) == ["quick", "slow"]


async def test_cleared_faults_are_gone(cloud: EmbeddedCloud, ecr: ECRClient) -> None:
    fault = await cloud.inject(Fault(kind=FaultKind.ERROR, times=None))
    with pytest.raises(ClientError):
        await _names(ecr)
    await cloud.clear(fault)
    assert await _names(ecr) == []
    assert await cloud.hits(fault) == 0


async def test_a_nonsensical_fault_is_refused_by_the_server_too(cloud: EmbeddedCloud) -> None:
    with pytest.raises(EmbeddedServerError, match="delay_s"):
        await cloud.inject(Fault.model_construct(kind=FaultKind.DELAY))


async def test_hundreds_of_requests_at_once(cloud: EmbeddedCloud, sqs: SQSClient) -> None:
    queue = (await sqs.create_queue(QueueName="busy"))["QueueUrl"]
    await asyncio.gather(*(sqs.send_message(QueueUrl=queue, MessageBody=str(number)) for number in range(300)))
    polls = [sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1, WaitTimeSeconds=5) for _ in range(300)]
    bodies = [message["Body"] for answer in await asyncio.gather(*polls) for message in answer.get("Messages", [])]
    assert sorted(map(int, bodies)) == list(range(300))
    assert (await cloud.calls())["sqs", "SendMessage"] == 300


async def test_objects_come_back_as_they_were_put(s3: S3Client, cloud: EmbeddedCloud) -> None:
    await s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    data = os.urandom(300_000)
    await s3.put_object(Bucket="bucket", Key="a/b c?d", Body=data)
    assert (await s3.head_object(Bucket="bucket", Key="a/b c?d"))["ContentLength"] == len(data)
    body = (await s3.get_object(Bucket="bucket", Key="a/b c?d"))["Body"]
    assert await body.read() == data
    assert cloud.writes(await cloud.calls()) == {("s3", "CreateBucket"): 1, ("s3", "PutObject"): 1}


async def test_listings_come_in_pages_as_from_aws(ecr: ECRClient) -> None:
    names = [f"team/app{number}" for number in range(5)]
    for name in names:
        await ecr.create_repository(repositoryName=name)
    pages = [
        page async for page in ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    ]
    assert [len(page["repositories"]) for page in pages] == [2, 2, 1]
    assert [found["repositoryName"] for page in pages for found in page["repositories"]] == names
    for token in ("none of mine", "99"):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            await ecr.describe_repositories(nextToken=token)


async def test_a_tag_comes_off_an_image_and_the_last_one_takes_the_image_along(ecr: ECRClient) -> None:
    await ecr.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE")
    for tag in ("one", "two"):
        put = await ecr.put_image(repositoryName="team/app", imageManifest="{}", imageTag=tag)
    digest = put["image"]["imageId"]["imageDigest"]

    async def delete(tag: str) -> Sequence[object]:
        return (await ecr.batch_delete_image(repositoryName="team/app", imageIds=[{"imageTag": tag}]))["imageIds"]

    assert await delete("two") == [{"imageDigest": digest, "imageTag": "two"}]
    assert await delete("two") == []
    (image,) = (await ecr.describe_images(repositoryName="team/app"))["imageDetails"]
    assert (image["imageDigest"], image["imageTags"]) == (digest, ["one"])
    assert len(await delete("one")) == 1
    assert (await ecr.describe_images(repositoryName="team/app"))["imageDetails"] == []
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        await ecr.batch_delete_image(repositoryName="missing", imageIds=[{"imageTag": "one"}])


async def test_a_port_in_use_is_an_error_with_the_reason(cloud: EmbeddedCloud, tmp_path: Path) -> None:
    port = int(cloud.endpoint_url.rpartition(":")[2])
    log = tmp_path / "logs" / "cloud.log"
    with pytest.raises(EmbeddedServerError, match=r"(?s)ended with code 1; .*in use"):
        async with EmbeddedCloud.start(port, log):
            pass
    assert "in use" in log.read_text()


async def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedServerError, match=r"agentd\[embedded\]"):
        async with EmbeddedCloud.start():
            pass


async def _refuses_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def _until_gone(port: int) -> None:
    async with asyncio.timeout(10):
        while not await _refuses_connections(port):
            await asyncio.sleep(0.02)


async def test_it_is_gone_when_the_block_ends() -> None:
    async with EmbeddedCloud.start() as running:
        port = int(running.endpoint_url.rpartition(":")[2])
        assert not await _refuses_connections(port)
    assert await _refuses_connections(port)


PARENT = """
import asyncio
from agentd.embedded import EmbeddedCloud

async def main():
    async with EmbeddedCloud.start() as cloud:
        print(cloud.endpoint_url.rpartition(":")[2], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_ends_with_a_parent_that_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        port = int(await parent.stdout.readline())
    assert not await _refuses_connections(port)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await _until_gone(port)
