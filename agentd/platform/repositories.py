"""How repositories are named, and what each is given: the installation's choice, the same for every handler."""

from dataclasses import dataclass, field

from agentd.platform.registry import LifecyclePolicy, RepositoryAccess, RepositorySpec


@dataclass(frozen=True, slots=True)
class RepositoryDefaults:
    """Handlers get it by `ctx.port(RepositoryDefaults)`."""

    prefix: str
    lifecycle: LifecyclePolicy = field(default_factory=LifecyclePolicy)
    access: RepositoryAccess = field(default_factory=RepositoryAccess)
    scan_on_push: bool = True
    immutable_tags: bool = True
    kms_key: str | None = None

    def name(self, kind: str, name: str) -> str:
        """The repository of a project or package: `<prefix>/<kind>/<name>`."""
        return f"{self.prefix}/{kind}/{name}"

    def spec(self, kind: str, name: str) -> RepositorySpec:
        """The repository of a project or package as it is wanted."""
        return RepositorySpec(
            name=self.name(kind, name),
            lifecycle=self.lifecycle,
            access=self.access,
            scan_on_push=self.scan_on_push,
            immutable_tags=self.immutable_tags,
            kms_key=self.kms_key,
        )
