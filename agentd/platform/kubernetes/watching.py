"""Listing and watching the objects of one kind."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from agentd.core import PermanentError, Runtime, TransientError
from agentd.platform.cluster import Change, ChangeKind, Manifest
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes.calls import Calls, Json, Request
from agentd.platform.kubernetes.errors import CallCode, Failure, of_answer
from agentd.platform.kubernetes.resources import Resource

# How much longer than the server the client waits before it gives a watch up.
_MARGIN_S = 10.0
_FIRST_CEILING_S = 0.5
_LAST_CEILING_S = 30.0
# A watch that the server ends at once must not be begun anew at once.
_LASTED_S = 1.0
_LISTINGS = 5
_Key = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind."""

    resource: Resource
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None

    @property
    def obj(self) -> str:
        """For errors: `kubernetes:dev/pods`."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"kubernetes:{where}{self.resource.plural}" + (f"/{self.name}" if self.name else "")

    def request(self, operation: str, *query: tuple[str, str]) -> Request:
        """A listing, or a watch."""
        chosen = list(query)
        if self.labels:
            chosen.append(("labelSelector", ",".join(f"{key}={value}" for key, value in sorted(self.labels.items()))))
        if self.name is not None:
            chosen.append(("fieldSelector", f"metadata.name={self.name}"))
        return Request(operation, self.obj, "GET", self.resource.collection(self.namespace), tuple(chosen))


@dataclass(frozen=True, slots=True)
class Listing:
    """What there was at one moment: `version` is the resourceVersion to watch from."""

    items: list[Manifest]
    version: str


class Watching:
    """Reads collections, page by page, and follows them."""

    def __init__(self, calls: Calls, config: ClusterConfig, runtime: Runtime) -> None:
        self._calls = calls
        self._page_size = config.page_size
        self._timeout_s = config.watch_timeout_s
        self._runtime = runtime

    async def list(self, selection: Selection) -> Listing:
        """All objects. A listing whose pages expire before it is through is begun again."""
        left = _LISTINGS
        while isinstance(listing := await self._pages(selection), Failure):
            left -= 1
            if not left:
                raise listing.error()
        return listing

    async def changes(self, selection: Selection) -> AsyncGenerator[Change]:
        """See ClusterReader.watch."""
        followed = _Followed(self, selection, self._runtime)
        while True:
            async for change in followed.relist():
                yield change
            async with aclosing(followed.follow()) as following:
                async for change in following:
                    yield change

    async def until(
        self, selection: Selection, done: Callable[[Sequence[Manifest]], bool], wait_s: float
    ) -> Sequence[Manifest] | None:
        """See Cluster.until."""
        listing = await self.list(selection)
        found = {_key(item): item for item in listing.items}
        if done(listing.items):
            return None
        try:
            async with asyncio.timeout(wait_s), aclosing(self.once(selection, listing.version)) as events:
                async for event in events:
                    if isinstance(event, Failure):
                        _raise_if_permanent(event)
                        break
                    _take_in(found, event)
                    if done(list(found.values())):
                        return None
        except TimeoutError:
            return list(found.values())
        return list(found.values())

    async def once(self, selection: Selection, version: str) -> AsyncGenerator[Json | Failure]:
        """The events since a version until the server ends the watch. A Failure comes last: why it broke."""
        request = selection.request(
            "watch",
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(self._timeout_s)),
        )
        async with aclosing(self._calls.events(request, timeout_s=self._timeout_s + _MARGIN_S)) as events:
            async for event in events:
                if not isinstance(event, Failure) and event["type"] == "ERROR":
                    yield _told_failure(event["object"], request)
                    return
                yield event

    async def pause(self, ceiling_s: float, retry_after: float | None) -> None:
        """Wait before the next attempt, longer if the server asks for it."""
        await self._runtime.sleep(max(self._runtime.full_jitter(ceiling_s), retry_after or 0.0))

    async def _pages(self, selection: Selection) -> Listing | Failure:
        items: list[Manifest] = []
        more: tuple[tuple[str, str], ...] = ()
        while True:
            request = selection.request("list", ("limit", str(self._page_size)), *more)
            page = await self._calls.read_unless(request, (CallCode.EXPIRED,))
            if isinstance(page, Failure):
                return page
            # The items of a list do not say what they are.
            kind = {"apiVersion": selection.resource.kind.api_version, "kind": selection.resource.kind.name}
            items += ({**kind, **item} for item in page["items"] or ())
            token = page["metadata"].get("continue")
            if not token:
                return Listing(items, page["metadata"]["resourceVersion"])
            more = (("continue", token),)


class _Followed:
    """What one watch has told so far, and where it goes on."""

    def __init__(self, watching: Watching, selection: Selection, runtime: Runtime) -> None:
        self._watching = watching
        self._selection = selection
        self._runtime = runtime
        self._told: dict[_Key, Manifest] = {}
        self._version = ""

    async def relist(self) -> AsyncGenerator[Change]:
        """Everything that exists, after what has gone unseen, then SYNCED."""
        listing = await self._listed()
        before, self._version = self._told, listing.version
        self._told = {_key(item): item for item in listing.items}
        for key, manifest in before.items():
            if _uid(manifest) != _uid(self._told.get(key)):
                yield Change(ChangeKind.GONE, manifest)
        for manifest in listing.items:
            yield Change(ChangeKind.PRESENT, manifest)
        yield Change(ChangeKind.SYNCED)

    async def follow(self) -> AsyncGenerator[Change]:
        """Every change, until too much has been missed. Raises PermanentError when the server refuses for good."""
        ceiling_s = _FIRST_CEILING_S
        while True:
            failure, heard, started = None, False, self._runtime.monotonic()
            async with aclosing(self._watching.once(self._selection, self._version)) as events:
                async for event in events:
                    if isinstance(event, Failure):
                        failure = event
                        break
                    heard = True
                    change = self._take(event)
                    if change is not None:
                        yield change
            if failure is not None and failure.code is CallCode.EXPIRED:
                return
            _raise_if_permanent(failure)
            if heard or self._runtime.monotonic() - started >= _LASTED_S:
                ceiling_s = _FIRST_CEILING_S
                if failure is None:
                    continue
            await self._watching.pause(ceiling_s, failure.retry_after if failure else None)
            ceiling_s = min(_LAST_CEILING_S, 2 * ceiling_s)

    async def _listed(self) -> Listing:
        ceiling_s = _FIRST_CEILING_S
        while True:
            try:
                return await self._watching.list(self._selection)
            except TransientError as error:
                await self._watching.pause(ceiling_s, error.retry_after)
                ceiling_s = min(_LAST_CEILING_S, 2 * ceiling_s)

    def _take(self, event: Json) -> Change | None:
        manifest = event["object"]
        self._version = manifest["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return None
        if event["type"] == "DELETED":
            self._told.pop(_key(manifest), None)
            return Change(ChangeKind.GONE, manifest)
        self._told[_key(manifest)] = manifest
        return Change(ChangeKind.PRESENT, manifest)


def _take_in(found: dict[_Key, Manifest], event: Json) -> None:
    if event["type"] == "DELETED":
        found.pop(_key(event["object"]), None)
    elif event["type"] != "BOOKMARK":
        found[_key(event["object"])] = event["object"]


def _key(manifest: Manifest) -> _Key:
    return manifest["metadata"].get("namespace"), manifest["metadata"]["name"]


def _uid(manifest: Manifest | None) -> str | None:
    return None if manifest is None else manifest["metadata"]["uid"]


def _raise_if_permanent(failure: Failure | None) -> None:
    if failure is not None and isinstance(error := failure.error(), PermanentError):
        raise error


def _told_failure(status: Json, request: Request) -> Failure:
    """A watch that is refused after it has begun says so in an event."""
    return of_answer(int(status.get("code") or 0), {}, json.dumps(status).encode(), about=request.about)
