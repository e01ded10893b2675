"""One caller's watch over environments, put together from two watches of the cluster.

The caller may read as slowly as it likes: what waits for it is a name, once, and never a message.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from agentd.platform import Change, ChangeKind
from proxy.environments import environment_of, project_of, with_projects
from proxy.generated.v1 import environments_pb2 as pb

_SYNCED = ""  # no namespace has this name

Step = tuple[pb.WatchKind, pb.Environment | None]


class View:
    """What is known of environments, what the caller has been told, and the names that it has yet to be told about."""

    def __init__(self) -> None:
        self._bare: dict[str, pb.Environment] = {}
        self._projects: defaultdict[str, dict[str, pb.DeployedProject]] = defaultdict(dict)
        self._told: dict[str, pb.Environment] = {}
        self._untold: dict[str, None] = {}
        self._unsynced = {"namespaces", "projects"}
        self._news = asyncio.Event()

    def namespace(self, change: Change) -> None:
        """Take in one change of a namespace."""
        if change.manifest is None:
            self._synced("namespaces")
            return
        name = change.manifest["metadata"]["name"]
        environment = environment_of(change.manifest)
        if environment is None or change.kind is ChangeKind.GONE:
            self._bare.pop(name, None)
        else:
            self._bare[name] = environment
        self._changed(name)

    def project(self, change: Change) -> None:
        """Take in one change of a config map that may record a project."""
        if change.manifest is None:
            self._synced("projects")
            return
        metadata = change.manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        project = project_of(change.manifest)
        if project is None or change.kind is ChangeKind.GONE:
            self._projects[namespace].pop(name, None)
        else:
            self._projects[namespace][name] = project
        if not self._projects[namespace]:
            del self._projects[namespace]
        self._changed(namespace)

    async def news(self) -> None:
        """Wait until there may be something to tell."""
        await self._news.wait()

    def next(self) -> Step | None:
        """The next thing to tell, as it is now; None when there is nothing."""
        while self._untold and not self._unsynced:
            name = next(iter(self._untold))
            step = self._step(name)
            # A name of which the last has been told is done with; one that came back as another is told of twice.
            if step is None or step[0] is not pb.WATCH_KIND_GONE:
                del self._untold[name]
            if step is not None:
                return step
        self._news.clear()
        return None

    def _step(self, name: str) -> Step | None:
        if name == _SYNCED:
            return pb.WATCH_KIND_SYNCED, None
        told, bare = self._told.get(name), self._bare.get(name)
        if told is not None and (bare is None or bare.id != told.id):
            del self._told[name]
            return pb.WATCH_KIND_GONE, told
        if bare is None:
            return None
        environment = with_projects(bare, self._projects.get(name, _NOTHING).values())
        if environment == told:
            return None
        self._told[name] = environment
        return pb.WATCH_KIND_PRESENT, environment

    def _synced(self, what: str) -> None:
        self._unsynced.discard(what)
        # Behind everything that waits already, also when it is there from before.
        self._untold.pop(_SYNCED, None)
        if not self._unsynced:
            self._changed(_SYNCED)

    def _changed(self, name: str) -> None:
        self._untold.setdefault(name)
        self._news.set()


_NOTHING: Mapping[str, pb.DeployedProject] = {}
