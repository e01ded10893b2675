"""The simulated cluster: the embedded API server's own core, without HTTP, and every write that reached it."""

import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from agentd.core import Runtime
from agentd.embedded.kube.admission import admit, check_admission
from agentd.embedded.kube.bootstrap import bootstrap
from agentd.embedded.kube.controllers.claims import CLAIM_PROTECTION
from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.garbage import GarbageCollector
from agentd.embedded.kube.controllers.manager import Controllers
from agentd.embedded.kube.controllers.namespaces import NAMESPACE_CONTENTS, NAMESPACE_LIFECYCLE
from agentd.embedded.kube.encoding import dump, encode, encode_list
from agentd.embedded.kube.kinds import NAMESPACES, Kind, Kinds
from agentd.embedded.kube.objects import Json, Object, ObjectView, is_terminating, labels_of
from agentd.embedded.kube.reads import page
from agentd.embedded.kube.serving.discovery import group_list, resource_list
from agentd.embedded.kube.serving.queries import (
    flag,
    read_call,
    read_list_options,
    read_selection,
    read_watch_options,
)
from agentd.embedded.kube.serving.targets import PathUnknown, Target, find_target, verb_of
from agentd.embedded.kube.status import ApiError, unknown_path
from agentd.embedded.kube.watches import events
from agentd.embedded.kube.world import World as State
from agentd.embedded.kube.writes import Call, DeleteOptions, Patch, PatchType, create, delete, patch
from agentd.embedded.kube.writes import replace as put
from agentd.platform import Kind as PortKind
from agentd.platform import ObjectRef, keys
from agentd.platform.kubernetes.content import same_content
from agentd.platform.kubernetes.marks import STAMPS
from tests.simulation.world.faults import KUBERNETES
from tests.simulation.world.memo import Memo, Question
from tests.simulation.world.truth import About, Api, Asked, Books, Marks, Seen
from tests.simulation.world.workloads import Workloads

_KINDS = Kinds()
"""The built-in ones: nobody ever adds kinds to a simulated cluster."""
_CREATED = 201
# Parts of a path, and an empty one before the first: /api/v1, /apis/apps/v1; what is longer is of objects.
_LONGEST_DISCOVERED = {False: 3, True: 4}
_READS = ("get", "list", "watch")
# Of which subject an object is: what is deployed to an environment tells its project, too.
_SUBJECTS = ("environment", "project", "package")
_KEPT = ("annotations", "finalizers", "ownerReferences")
_NO_CONTENT = ("apiVersion", "kind", "metadata", "status")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: status and JSON."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """What is asked, understood as far as its path goes. `target` is None for what is about the server."""

    path: str
    query: Mapping[str, str]
    content_type: str
    body: Json
    verb: str
    target: Target | None

    @property
    def operation(self) -> str:
        """As the books name it: `patch configmaps`."""
        return f"{self.verb} {self.target.resource}" if self.target else self.verb

    @property
    def is_write(self) -> bool:
        """Whether it may change anything."""
        return self.verb not in _READS and self.target is not None and "dryRun" not in self.query


@dataclass(frozen=True, slots=True)
class KubeRuntime(Runtime):
    """The server's clock and dice. Ids that have been drawn already are given out first."""

    drawn: list[str] = field(default_factory=list)

    def new_id(self) -> str:
        """See Runtime."""
        return self.drawn.pop() if self.drawn else Runtime.new_id(self)


@dataclass(frozen=True, slots=True)
class Pace:
    """How quick what is behind the server is; each time is drawn anew, between the two."""

    namespace_end_s: tuple[float, float] = (0.1, 3.0)
    """From a namespace's deletion until it is gone, when nothing holds it."""
    ready_s: tuple[float, float] = (0.05, 5.0)
    """From a workload's change until its pods are as it says, or a Job's creation until it has ended: most are waited for."""


class Kube:
    """One cluster. Only controllers that agents can tell from none are at work: what runs in it has a status, and no pods."""

    def __init__(
        self,
        books: Books,
        wall: Callable[[], float],
        dice: random.Random,
        pace: Pace,
        memo: Memo,
    ) -> None:
        self._memo = memo
        self._books = books
        self._runtime = KubeRuntime(wall, dice)
        self._dice = dice
        self._namespace_end_s = pace.namespace_end_s
        self._workloads = Workloads(self._runtime.monotonic, dice, pace.ready_s)
        self._ends_at: dict[str, float] = {}
        self.state = State(self._runtime)
        bootstrap(self.state)

    def controllers(self) -> Controllers:
        """From now on changes are followed; somebody has to run them."""
        patient = Controller("namespace-lifecycle", NAMESPACE_LIFECYCLE.keys, self._end_namespace)
        first = (NAMESPACE_CONTENTS, patient, GarbageCollector().controller(), CLAIM_PROTECTION)
        return Controllers(self.state, (*first, *self._workloads.controllers()))

    def read(
        self, method: str, path: str, query: Mapping[str, str], body: Json = None, content_type: str = ""
    ) -> KubeRequest:
        """A request, as far as anybody can understand it before it arrives. Raises ApiError."""
        target = _target(path)
        verb = verb_of(target, method, watching=flag(query, "watch")) if target else "discover"
        return KubeRequest(path, query, content_type, body, verb, target)

    def answer(self, asked: Asked, request: KubeRequest) -> Told:
        """Carry a request out. Raises ApiError."""
        if request.target is None:
            return Told(200, _document(request.path))
        if request.verb == "get":
            return self._get(request.target)
        if request.verb == "list":
            return self._list(request.target, request.query)
        if request.is_write:
            return self._entered(asked, request, request.target)
        return self._change(request, request.target)

    def watch(self, request: KubeRequest) -> AsyncIterator[bytes]:
        """The lines of a watch, as they come. Raises ApiError."""
        if request.target is None:
            raise unknown_path()
        selection = read_selection(request.target, request.query)
        return events(self.state, selection, read_watch_options(request.query))

    def seen(self) -> Iterator[Seen]:
        """Every object of the cluster."""
        for kind in self.state.kinds.resources():
            for item in self.state.store.all(kind.resource):
                yield _seen(kind, item)

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _get(self, target: Target) -> Told:
        item = self._stored(target)
        if item is None:
            raise Call(target.kind, target.namespace or "", target.name).not_found()
        return Told(200, encode(target.kind, item))

    def _list(self, target: Target, query: Mapping[str, str]) -> Told:
        found = page(self.state, read_selection(target, query), read_list_options(query))
        return Told(200, encode_list(target.kind, found.items, found.metadata))

    # -- writes --------------------------------------------------------------------------------------------------------

    def _entered(self, asked: Asked, request: KubeRequest, target: Target) -> Told:
        name = target.name or request.body["metadata"]["name"]
        obj = str(ObjectRef(_kind(target.kind), name, target.namespace))
        about = About(Api.CONDITIONAL, obj, _carried(request), bound=_is_bound(request))
        before = self._stored(target, name)
        held = _marks(before) if before is not None else None
        try:
            told = self._change(request, target)
        except ApiError as error:
            self._books.enter(asked, about, held, held, refusal=error.reason or str(error.code))
            raise
        after = self._stored(target, name)
        changed = after is not before
        stamp = changed and before is not None and after is not None and same_content(before, after)
        left = _marks(after) if after is not None else None
        self._books.enter(asked, about, held, left, changed=changed, stamp=stamp)
        return told

    def _change(self, request: KubeRequest, target: Target) -> Told:
        call = read_call(target, request.query, "agent")
        match request.verb:
            case "create":
                return Told(_CREATED, self._create(call, request.body))
            case "patch":
                return Told(200, self._patch(call, request.content_type, request.body))
            case "update":
                return Told(200, encode(call.kind, put(self.state, call, request.body)[0]))
            case "delete":
                item = delete(self.state, call, DeleteOptions.read(request.body or {}))
                return Told(200, dump(item) if item["kind"] == "Status" else encode(call.kind, item))
            case _:
                raise unknown_path()

    def _create(self, call: Call, document: Json) -> bytes:
        """As the server does it, but that what it has done before is remembered; only what the others say is asked again."""
        metadata = document["metadata"]
        if "name" not in metadata or self.state.store.get(call.kind.resource, call.namespace, metadata["name"]):
            return encode(call.kind, create(self.state, call, document))
        uid, now = self._runtime.new_id(), self.state.now()

        def work() -> bytes:
            self._runtime.drawn.append(uid)
            return encode(call.kind, create(self.state, replace(call, dry_run=True), document))

        made = self._memo.answer(
            Question(f"create {_meant(call)} {call.namespace}", dump(document), now, uid, document), work
        )
        item: Object = json.loads(made)
        admit(self.state, call, item, None)
        check_admission(self.state, call, item, None)
        return made if call.dry_run else self._put(call.kind, item)

    def _patch(self, call: Call, content_type: str, document: Json) -> bytes:
        """The same for an object that is there; not where it matters which of two ids is the larger one."""
        wanted = Patch(PatchType(content_type), dump(document))
        live = self.state.store.get(call.kind.resource, call.namespace, call.name)
        if live is None or is_terminating(live) or "ownerReferences" in live["metadata"]:
            return encode(call.kind, patch(self.state, call, wanted)[0])
        before, dry = encode(call.kind, live), replace(call, dry_run=True)
        said = document if isinstance(document, dict) else {}
        question = Question(
            f"{content_type} {_meant(call)}", wanted.body, self.state.now(), live["metadata"]["uid"], said, live, before
        )
        made = self._memo.answer(question, lambda: encode(call.kind, patch(self.state, dry, wanted)[0]))
        return made if call.dry_run or made == before else self._put(call.kind, json.loads(made))

    def _put(self, kind: Kind, item: Object) -> bytes:
        return encode(kind, self.state.store.put(kind.resource, item))

    def _stored(self, target: Target, name: str = "") -> Object | None:
        return self.state.store.get(target.kind.resource, target.namespace or "", target.name or name)

    def _end_namespace(self, hands: Hands, key: Key) -> float | None:
        """As the real controller, which has more to do: it takes its time."""
        namespace = hands.get(NAMESPACES, *key)
        if namespace is None or not is_terminating(namespace):
            return None
        uid, now = namespace["metadata"]["uid"], self._runtime.monotonic()
        ends_at = self._ends_at.setdefault(uid, now + self._dice.uniform(*self._namespace_end_s))
        return ends_at - now if now < ends_at else NAMESPACE_LIFECYCLE.reconcile(hands, key)


@lru_cache(maxsize=4096)
def _target(path: str) -> Target | None:
    """The objects that a path means; None for what is about the server. Raises ApiError."""
    if len(path.split("/")) <= _LONGEST_DISCOVERED[path.startswith("/apis")]:
        return None
    try:
        return find_target(_KINDS, path)
    except PathUnknown as error:
        raise unknown_path() from error


@cache
def _document(path: str) -> bytes:
    """What the server says of itself."""
    match path.strip("/").split("/"):
        case ["apis"]:
            return dump(group_list(_KINDS))
        case ["api", "v1"]:
            return dump(resource_list(_KINDS, "", "v1"))
        case ["apis", group, version]:
            return dump(resource_list(_KINDS, group, version))
    raise unknown_path()


def _meant(call: Call) -> str:
    return f"{call.kind.api_version} {call.kind.kind} {call.manager} {call.field_validation} {call.force}"


def _kind(kind: Kind) -> PortKind:
    return PortKind(kind.api_version, kind.kind)


def _carried(request: KubeRequest) -> Marks:
    metadata = request.body.get("metadata") if isinstance(request.body, dict) else None
    return _of_labels((metadata or {}).get("labels") or {})


def _is_bound(request: KubeRequest) -> bool:
    """Whether the request names the state that it is for."""
    body = request.body if isinstance(request.body, dict) else {}
    state = body.get("preconditions" if request.verb == "delete" else "metadata") or {}
    return {"uid", "resourceVersion"} <= state.keys()


def _marks(item: ObjectView) -> Marks:
    return _of_labels(labels_of(item))


def _of_labels(labels: Mapping[str, str]) -> Marks:
    generation = labels.get(keys.GENERATION, "")
    of = ((kind, labels.get(f"{keys.PREFIX}/{kind}-id")) for kind in _SUBJECTS)
    return Marks(
        owner_id=labels.get(keys.OWNER_ID),
        subject=next((f"{kind}/{uuid}" for kind, uuid in of if uuid), None),
        generation=int(generation) if generation.isdecimal() else None,
        event_id=labels.get(keys.EVENT_ID),
    )


def _seen(kind: Kind, item: ObjectView) -> Seen:
    metadata = item["metadata"]
    labels = {key: value for key, value in labels_of(item).items() if key not in STAMPS}
    content = _settled(kind, item)
    return Seen(
        obj=str(ObjectRef(_kind(kind), metadata["name"], metadata.get("namespace"))),
        service=KUBERNETES,
        kind=kind.kind,
        marks=_marks(item),
        content={**content, "labels": labels, **{key: metadata[key] for key in _KEPT if key in metadata}},
        terminating=is_terminating(item),
    )


def _settled(kind: Kind, item: ObjectView) -> Object:
    """An object's content, but for what is drawn anew in every run: keys, and the id that a Job knows its pods by."""
    content = {key: value for key, value in item.items() if key not in _NO_CONTENT}
    if kind.kind == "Secret":
        return {**content, "data": sorted(content.get("data", {}))}
    if kind.kind == "Job":
        settled: Object = json.loads(dump(content).decode().replace(item["metadata"]["uid"], "uid"))
        return settled
    return content
