"""An image registry that plans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from agentd.core import Action, Fence, PermanentError, Plan, PlannedChange, Reason, TransientError, differences
from agentd.platform.ownership import check_own, check_owner
from agentd.platform.registry import (
    DEPLOYED_TAG_PREFIX,
    Image,
    ImageRegistry,
    LifecyclePolicy,
    RegistryCredentials,
    Repository,
    RepositoryAccess,
    RepositorySpec,
    refuse_deployed,
)

_Fields = Mapping[str, object]


class PlanningRegistry(ImageRegistry):
    """Reads as if everything that the plan holds had been written; writes nothing."""

    def __init__(self, registry: ImageRegistry, plan: Plan) -> None:
        self._registry = registry
        self._plan = plan
        self._repositories: dict[str, Repository | None] = {}
        self._lifecycles: dict[str, LifecyclePolicy | None] = {}
        self._accesses: dict[str, RepositoryAccess] = {}
        self._images: dict[str, Sequence[Image]] = {}

    async def get(self, name: str) -> Repository | None:
        if name in self._repositories:
            return self._repositories[name]
        return await self._registry.get(name)

    async def repositories(self) -> Sequence[Repository]:
        found = await self._registry.repositories()
        untouched = (repository for repository in found if repository.name not in self._repositories)
        planned = (repository for repository in self._repositories.values() if repository is not None)
        return list(chain(untouched, planned))

    def object_name(self, name: str, digest: str | None = None) -> str:
        return self._registry.object_name(name, digest)

    async def lifecycle(self, name: str) -> LifecyclePolicy | str | None:
        if name in self._lifecycles:
            return self._lifecycles[name]
        return await self._registry.lifecycle(name)

    async def access(self, name: str) -> RepositoryAccess | str:
        if name in self._accesses:
            return self._accesses[name]
        return await self._registry.access(name)

    def spelled(self, access: RepositoryAccess) -> RepositoryAccess:
        return self._registry.spelled(access)

    async def ensure(self, spec: RepositorySpec, *, fence: Fence) -> Repository:
        found = await self.get(spec.name)
        if found is not None:
            check_own(self.object_name(spec.name), found, fence)
        wanted = replace(
            found or _made(spec, fence),
            scan_on_push=spec.scan_on_push,
            immutable_tags=spec.immutable_tags,
            retained=False,
        )
        if found is None:
            self._empty(spec.name)
            fields = {"kms_key": spec.kms_key} if spec.kms_key else {}
            self._record(spec.name, Action.CREATE, None, {**_settings(wanted), **fields})
        elif _settings(found) != _settings(wanted):
            self._record(spec.name, Action.CHANGE, _settings(found), _settings(wanted))
        else:
            return found
        self._repositories[spec.name] = wanted
        return wanted

    async def ensure_lifecycle(self, name: str, policy: LifecyclePolicy, *, fence: Fence) -> None:
        await self._own(name, fence)
        found = await self.lifecycle(name)
        if found != policy:
            self._lifecycles[name] = policy
            self._record(name, Action.CHANGE, _lifecycle(found), _lifecycle(policy))

    async def ensure_access(self, name: str, access: RepositoryAccess, *, fence: Fence) -> None:
        await self._own(name, fence)
        found, wanted = await self.access(name), self.spelled(access)
        if found != wanted:
            self._accesses[name] = wanted
            self._record(name, Action.CHANGE, _access(found), _access(wanted))

    async def retain(self, name: str, *, fence: Fence) -> None:
        found = await self.get(name)
        if found is None:
            return
        check_own(self.object_name(name), found, fence)
        if not found.retained:
            self._repositories[name] = replace(found, retained=True)
            self._record(name, Action.CHANGE, {"retained": False}, {"retained": True})

    async def delete(self, name: str, *, force: bool, fence: Fence) -> None:
        found = await self.get(name)
        if found is None:
            return
        check_own(self.object_name(name), found, fence)
        images = await self.images(name)
        refuse_deployed(f"repository {name}", images)
        if images and not force:
            raise PermanentError(Reason.NOT_EMPTY, f"repository {name} still holds {len(images)} images")
        self._repositories[name] = None
        self._empty(name)
        self._plan.record(PlannedChange(self.object_name(name), Action.DELETE))

    async def images(self, name: str) -> Sequence[Image]:
        if name in self._images:
            return self._images[name]
        return await self._registry.images(name)

    async def image(self, name: str, tag_or_digest: str) -> Image | None:
        if name not in self._images:
            return await self._registry.image(name, tag_or_digest)
        found = (image for image in self._images[name] if tag_or_digest in (image.digest, *image.tags))
        return next(found, None)

    async def delete_image(self, name: str, tag_or_digest: str, *, fence: Fence) -> bool:
        repository = await self.get(name)
        if repository is None:
            return False
        check_owner(self.object_name(name), repository, fence.owner_id)
        image = await self.image(name, tag_or_digest)
        if image is None:
            return False
        refuse_deployed(f"image {name}:{tag_or_digest}", [image])
        self._images[name] = [other for other in await self.images(name) if other.digest != image.digest]
        self._plan.record(PlannedChange(self.object_name(name, image.digest), Action.DELETE))
        return True

    async def mark_deployed(self, name: str, tag_or_digest: str, environment: str, *, fence: Fence) -> Image:
        repository = await self.get(name)
        if repository is not None:
            check_owner(self.object_name(name), repository, fence.owner_id)
        image = await self.image(name, tag_or_digest) if repository is not None else None
        if image is None:
            raise PermanentError(Reason.IMAGE_MISSING, f"{self.object_name(name)} has no image {tag_or_digest}")
        if environment in image.deployed_to:
            return image
        await self._unmark(name, environment)
        return await self._tag(name, image, (*image.tags, f"{DEPLOYED_TAG_PREFIX}{environment}"))

    async def unmark_deployed(self, name: str, environment: str, *, fence: Fence) -> bool:
        repository = await self.get(name)
        if repository is None:
            return False
        check_owner(self.object_name(name), repository, fence.owner_id)
        return await self._unmark(name, environment)

    async def credentials(self) -> RegistryCredentials:
        return await self._registry.credentials()

    async def _own(self, name: str, fence: Fence) -> None:
        found = await self.get(name)
        if found is None:
            raise TransientError(Reason.UNAVAILABLE, f"{self.object_name(name)} is not there")
        check_own(self.object_name(name), found, fence)

    async def _unmark(self, name: str, environment: str) -> bool:
        mark = f"{DEPLOYED_TAG_PREFIX}{environment}"
        image = await self.image(name, mark)
        if image is None:
            return False
        await self._tag(name, image, tuple(tag for tag in image.tags if tag != mark))
        return True

    async def _tag(self, name: str, image: Image, tags: tuple[str, ...]) -> Image:
        tagged = replace(image, tags=tags)
        images = await self.images(name)
        self._images[name] = [tagged if other.digest == image.digest else other for other in images]
        fields = differences({"deployed_to": list(image.deployed_to)}, {"deployed_to": list(tagged.deployed_to)})
        self._plan.record(PlannedChange(self.object_name(name, image.digest), Action.CHANGE, fields))
        return tagged

    def _empty(self, name: str) -> None:
        """Nothing is left of a repository that is deleted, and nothing is there in a new one."""
        self._lifecycles[name] = None
        self._accesses[name] = RepositoryAccess()
        self._images[name] = []

    def _record(self, name: str, action: Action, before: _Fields | None, after: _Fields) -> None:
        self._plan.record(PlannedChange(self.object_name(name), action, differences(before, after)))


def _made(spec: RepositorySpec, fence: Fence) -> Repository:
    """A new repository. Its address is the provider's to give: until then it is its name."""
    return Repository(
        name=spec.name,
        uri=spec.name,
        scan_on_push=spec.scan_on_push,
        immutable_tags=spec.immutable_tags,
        owner_id=fence.owner_id,
        subject=str(fence.subject),
        generation=fence.generation,
        retained=False,
    )


def _settings(repository: Repository) -> _Fields:
    return {
        "scan_on_push": repository.scan_on_push,
        "immutable_tags": repository.immutable_tags,
        "retained": repository.retained,
    }


def _lifecycle(policy: LifecyclePolicy | str | None) -> _Fields:
    if isinstance(policy, LifecyclePolicy):
        return {"lifecycle": {"untagged_days": policy.untagged_days, "keep_images": policy.keep_images}}
    return {"lifecycle": policy}


def _access(access: RepositoryAccess | str) -> _Fields:
    if isinstance(access, str):
        return {"access": access}
    given = {"pull": list(access.pull), "push": list(access.push)}
    return {"access": {key: principals for key, principals in given.items() if principals} or None}
