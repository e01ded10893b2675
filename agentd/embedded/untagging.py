"""BatchDeleteImage by tag, as ECR does it: the tag comes off an image that has others. The emulator deletes the image.

Source: the ECR API reference: an image is deleted with the last of its tags, or by its digest.
"""

import json
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

# The emulator's own shapes: free-form mappings.
Request = Mapping[str, Any]
Image = MutableMapping[str, Any]
Answer = tuple[int, Mapping[str, str], bytes]
Find = Callable[[str, Request], Image | None]
Delete = Callable[[Request], Answer]

_OK = 200


def install() -> None:
    """Mend the emulator, before it serves. It has no other door for this than its own functions."""
    from ministack.services import ecr

    ecr._batch_delete_image = by_tag(ecr._find_image, ecr._batch_delete_image)  # noqa: SLF001 - see above


def by_tag(find: Find, delete: Delete) -> Delete:
    """Takes tags off, and leaves everything else that is asked for to `delete`."""

    def batch_delete_image(request: Request) -> Answer:
        untagged: list[Request] = []
        others: list[Request] = []
        for wanted in request.get("imageIds", []):
            image = find(request.get("repositoryName", ""), wanted) if _is_tag(wanted) else None
            if image is not None and len(image["imageTags"]) > 1:
                untagged.append(_untag(image, wanted["imageTag"]))
            else:
                others.append(wanted)
        status, headers, body = delete({**request, "imageIds": others})
        if status != _OK:
            return status, headers, body
        document = json.loads(body)
        document["imageIds"] = [*untagged, *document["imageIds"]]
        return status, headers, json.dumps(document).encode()

    return batch_delete_image


def _is_tag(wanted: Request) -> bool:
    return bool(wanted.get("imageTag")) and not wanted.get("imageDigest")


def _untag(image: Image, tag: str) -> Request:
    image["imageTags"].remove(tag)
    image["imageId"] = {**image["imageId"], "imageTag": image["imageTags"][-1]}
    return {"imageDigest": image["imageDigest"], "imageTag": tag}
