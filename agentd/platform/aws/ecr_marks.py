"""The tag that says which image an environment uses, on ECR.

ECR moves no tag in a repository with immutable tags, which is the rule here: the tag is taken off the one image, then put
on the other. In between no image has it; the same call again goes on from there.

ECR deletes an image together with its last tag (API reference of BatchDeleteImage). So an image that has nothing but
deployed tags, for somebody took its build's tag away, gets a tag of its own name first, and is left to the lifecycle
policy. Deployed tags do not count as tags that remain: two environments may leave the same image at once.
"""

from typing import TYPE_CHECKING

from agentd.core import Fence
from agentd.platform.aws.ecr_batches import GONE, check_entries
from agentd.platform.aws.ecr_reads import NO_REPOSITORY, EcrReads, Manifest, image_object
from agentd.platform.aws.fenced import FencedWrites
from agentd.platform.registry import DEPLOYED_TAG_PREFIX, Image

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_ecr.type_defs import PutImageRequestTypeDef

KEPT_TAG_PREFIX = "kept."
# The image has the tag already, for an answer was lost, or another image has it: the read-back tells.
_EXISTS = ("ImageAlreadyExistsException", "ImageTagAlreadyExistsException")


class EcrMarks:
    """Puts a deployed tag on one image of a repository, and takes it off. Ownership has been checked by the caller."""

    def __init__(self, reads: EcrReads, writes: "ECRClient", fenced: FencedWrites) -> None:
        self._reads = reads
        self._writes = writes
        self._fenced = fenced

    async def move(self, name: str, image: Image, environment: str, fence: Fence) -> Image:
        """The image, once it alone has the environment's tag."""
        tag = f"{DEPLOYED_TAG_PREFIX}{environment}"
        if tag in image.tags:
            return image
        # First what may fail: the old image keeps its tag until the new one is known to be whole.
        manifest = await self._reads.manifest(name, image.digest)
        await self.remove(name, environment, fence)
        return await self._put(name, image, manifest, tag, fence)

    async def remove(self, name: str, environment: str, fence: Fence) -> bool:
        """Take the environment's tag off the image that has it; whether there was one."""
        tag = f"{DEPLOYED_TAG_PREFIX}{environment}"
        image = await self._reads.image(name, tag)
        if image is None:
            return False
        if all(other.startswith(DEPLOYED_TAG_PREFIX) for other in image.tags):
            manifest = await self._reads.manifest(name, image.digest)
            await self._put(name, image, manifest, KEPT_TAG_PREFIX + image.digest.rpartition(":")[2], fence)
        obj = image_object(name, image.digest)
        answer = await self._fenced.write(
            "BatchDeleteImage",
            obj,
            # By tag alone: by digest, ECR would delete the image.
            lambda: self._writes.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": tag}]),
            fence,
            refusals=NO_REPOSITORY,
        )
        if answer is not None:
            check_entries("BatchDeleteImage", obj, answer, tolerated=GONE)
        await self._fenced.settled(
            obj, lambda: self._reads.image(name, tag), lambda seen: seen is None or seen.digest != image.digest
        )
        return True

    async def _put(self, name: str, image: Image, manifest: Manifest, tag: str, fence: Fence) -> Image:
        """The image with one more tag: its own manifest is put again."""
        obj = image_object(name, image.digest)
        request: PutImageRequestTypeDef = {
            "repositoryName": name,
            "imageManifest": manifest.text,
            "imageManifestMediaType": manifest.media_type,
            "imageDigest": image.digest,  # ECR refuses a manifest that is not this image's
            "imageTag": tag,
        }
        await self._fenced.write("PutImage", obj, lambda: self._writes.put_image(**request), fence, refusals=_EXISTS)
        return await self._fenced.shown(
            obj, lambda: self._reads.image(name, image.digest), lambda seen: tag in seen.tags
        )
