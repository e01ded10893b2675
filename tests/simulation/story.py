"""What the control plane sends, and what goes on in the world beside: subjects, each with its own history."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

from agentd.core import Subject
from agentd.events import (
    Audience,
    BuildCleanup,
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentUnlock,
    EnvironmentUpdate,
    EnvironmentWake,
    EventData,
    PackageCreate,
    PackageDelete,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    encode,
    moment,
)
from tests.simulation.artifacts import claim_check, stored
from tests.simulation.loop import START
from tests.simulation.plan import Act, Intent, Json, Redrive, Send, Sort

_NAMES = ("orders", "billing", "shop_web", "team-data", "etl", "reports")
_ENVIRONMENTS = ("dev", "test", "prod")
_LONG_AGO = moment(START - 3600.0).isoformat()
_DOUBTFUL = 0.5  # of the messages that have expired, those of which another one comes under the same id


@dataclass(frozen=True, slots=True)
class StoryMix:
    """How much of what there is in a story; shares of one."""

    sends: tuple[int, int] = (3, 10)
    horizon_s: float = 24.0
    environments: float = 0.3
    disorder: float = 0.2
    twice: float = 0.2
    nonsense: float = 0.1
    expired: float = 0.05
    foreign: float = 0.05
    redrives: float = 0.3
    claim_checks: float = 0.08
    successors: float = 0.3
    """Of the deletes, those after which somebody else wants the name at once."""
    revivals: float = 0.2
    """Of the deletes, those that come after what newer generations want, and are followed by another create."""
    meddling: float = 0.35
    """Of the deploys, those that something is done to one of their projects after."""
    wakes: float = 0.5
    """Of the hibernations, those that end again soon."""
    prologues: float = 0.5
    """Of the stories with an environment, those that begin with it, its projects and a build of each."""
    busiest: float = 0.0
    """Of the sends, those that go to one subject alone: an environment, if there is one."""


@dataclass(slots=True)
class Story:
    """What comes of it."""

    intents: list[Intent] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    redrives: list[Redrive] = field(default_factory=list)


def new_uuid(random: Random) -> str:
    """A random id."""
    return str(UUID(int=random.getrandbits(128), version=4))


def audience() -> Audience:
    """Whom all events of all runs are meant for."""
    return Audience(str(UUID(int=91, version=4)), str(UUID(int=92, version=4)))


def envelope_of(
    event_id: str, data_class: type[EventData], subject: Subject, generation: int, *, at_s: float
) -> dict[str, Any]:
    """A good event's envelope."""
    meant_for = audience()
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "https://control-plane.example",
        "type": data_class.type,
        "subject": str(subject),
        "time": moment(START + at_s).isoformat(),
        "tenantid": meant_for.tenant_id,
        "clusterid": meant_for.cluster_id,
        "generation": generation,
    }


def echo_of(
    intent: Intent, data_class: type[EventData], data: Mapping[str, Json], *, generation: int, at_s: float
) -> Intent:
    """A newer generation of a subject, which asks for what is there already."""
    event_id = new_uuid(Random(f"echo of {intent.event_id}"))
    envelope = envelope_of(event_id, data_class, intent.subject, generation, at_s=at_s)
    return replace(
        intent,
        number=-1,
        sort=Sort.VALID,
        event_id=event_id,
        generation=generation,
        data_class=data_class,
        data=data,
        text=encode(envelope, data),
        equal=True,
        kept=None,
    )


def _expiry(intent: Intent) -> dict[str, str]:
    """What a message has in its envelope when it has expired."""
    return {"expirytime": _LONG_AGO} if intent.sort is Sort.EXPIRED else {}


def draw_story(random: Random, mix: StoryMix) -> Story:
    """A story from dice."""
    return _Author(random, mix).write()


class _History:
    """One subject's own: what has been asked for so far, in the order of generations."""

    def __init__(self, random: Random, kind: str, name: str) -> None:
        self.random = random
        self.subject = Subject(kind, new_uuid(random))
        self.name = name
        self.generation = 0
        self.last: tuple[type[EventData], Mapping[str, Json]] | None = None
        self.begun = False
        self.is_foreign = False
        self.builds: list[str] = []

    def next_generation(self) -> int:
        self.generation += self.random.choice((1, 1, 1, 2, 5))
        return self.generation

    @property
    def own(self) -> dict[str, Json]:
        kind = self.subject.kind
        return {f"{kind}_id": self.subject.uuid, f"{kind}_name": self.name}


class _Author:
    def __init__(self, random: Random, mix: StoryMix) -> None:
        self._random = random
        self._mix = mix
        self._story = Story()
        self._clock = 0.0

    def write(self) -> Story:
        random, mix = self._random, self._mix
        count = random.randint(*mix.sends)
        histories = self._cast(count)
        if histories[-1].subject.kind == "environment" and random.random() < mix.prologues:
            self._prologue(histories)
        while len(self._story.sends) < count:
            self._clock += random.expovariate(count / mix.horizon_s)
            self._clock = min(self._clock, mix.horizon_s)
            busiest = random.random() < mix.busiest
            history = histories[-1] if busiest else random.choice(histories)
            self._next(history, histories)
        for _ in range(2):
            if random.random() < mix.redrives:
                at_s = random.uniform(mix.horizon_s / 3, mix.horizon_s * 1.2)
                self._story.redrives.append(Redrive(at_s, random.choice((0.5, 1.0))))
        return self._story

    def _cast(self, count: int) -> list[_History]:
        """The subjects; sometimes two of them want one name."""
        random, mix = self._random, self._mix
        kinds = [random.choice(("project", "project", "package")) for _ in range(max(1, count // 4))]
        if random.random() < mix.environments:
            kinds += ["project", "environment"]
        names = {"project": list(_NAMES), "package": list(_NAMES), "environment": list(_ENVIRONMENTS)}
        histories = []
        for kind in kinds:
            name = random.choice(names[kind][:3])
            if random.random() < 0.85 and len(names[kind]) > 1:
                names[kind].remove(name)
            histories.append(_History(random, kind, name))
        for history in histories:
            if random.random() < mix.foreign:
                self._plant(history, histories)
        return histories

    def _prologue(self, histories: list[_History]) -> None:
        """What must be there before anything can be deployed; at its end something may be."""
        random, environment = self._random, histories[-1]
        projects = [history for history in histories if history.subject.kind == "project"]
        creates: list[tuple[_History, type[EventData], Mapping[str, Json]]] = [
            *((project, ProjectCreate, project.own) for project in projects),
            (environment, EnvironmentCreate, {**environment.own, "spec": _spec(random)}),
        ]
        for history, data_class, data in creates:
            history.last, history.begun = (data_class, data), True
            intent = self._intent(Sort.VALID, history.subject, history.next_generation(), data_class, data)
            self._story.sends.append(Send(random.uniform(0.0, 1.0), intent, intent.event_id))
        for project in projects:
            self._push(project, at_s=1.0)
        self._around_environment(environment)
        self._clock = random.uniform(2.0, 6.0)

    def _push(self, project: _History, *, at_s: float) -> None:
        """The image of a new build is pushed, as soon as there is a repository for it."""
        build = new_uuid(self._random)
        project.builds.append(build)
        if not project.is_foreign:
            self._act(at_s, "push", project_name=project.name, build_id=build)

    def _plant(self, history: _History, histories: list[_History]) -> None:
        """Somebody else's object has the name that the subject's would have."""
        kind, name = history.subject.kind, history.name
        if kind == "project":
            for other in histories:
                other.is_foreign = other.is_foreign or (other.subject.kind, other.name) == (kind, name)
            self._act(0.0, "plant_repository", project_name=name)
        elif kind == "environment":
            what = self._random.choice(("plant_namespace", "plant_role"))
            self._act(0.0, what, **{"name" if what == "plant_namespace" else "environment_name": name})

    def _next(self, history: _History, histories: list[_History]) -> None:
        random, mix = self._random, self._mix
        options = list(_options(history, histories))
        weights = [option[0] for option in options]
        _, data_class, make = random.choices(options, weights)[0]
        data = make()
        if data_class is BuildCleanup:
            subject, generation = Subject("build", data["build_id"]), 1
        else:
            subject, generation = history.subject, history.next_generation()
        asked = (data_class, data)
        equal = history.last == asked and data_class.creates
        history.last, history.begun = asked, True
        expired = random.random() < mix.expired
        intent = self._intent(
            Sort.EXPIRED if expired else Sort.VALID, subject, generation, data_class, data, equal=equal
        )
        if data_class.deletes and subject.kind != "package" and random.random() < mix.revivals:
            self._revive(history, intent)
            return
        self._send(intent)
        self._around(history, intent, histories)
        if data_class.deletes and random.random() < mix.successors:
            self._succeed(history, histories)
        if data_class is EnvironmentHibernate and random.random() < mix.wakes:
            history.last = (EnvironmentWake, history.own)
            wake = self._intent(Sort.VALID, subject, history.next_generation(), *history.last)
            self._send(wake, late_s=random.uniform(2.0, 8.0))
        if data_class is EnvironmentDeploy and random.random() < mix.meddling:
            self._meddle(histories)

    def _revive(self, history: _History, delete: Intent) -> None:
        """The subject is to be deleted and made anew, and changed before or after that; the change comes first."""
        random, is_project = self._random, history.subject.kind == "project"
        comes_after = random.random() < 1 / 2
        create: tuple[type[EventData], Mapping[str, Json]] = (
            (ProjectCreate, history.own) if is_project else (EnvironmentCreate, {**history.own, "spec": _spec(random)})
        )
        change: tuple[type[EventData], Mapping[str, Json]] = (EnvironmentHibernate, history.own)
        if is_project:
            change = (ProjectConfigure, {**history.own, "settings": {"size": "revived"}})
        elif comes_after and random.random() < 1 / 2:
            change = (EnvironmentUpdate, {**history.own, "spec": _spec(random)})
        order = [create, change] if comes_after else [change, create]
        made = {
            data_class: self._intent(Sort.VALID, history.subject, history.next_generation(), data_class, data)
            for data_class, data in order
        }
        history.last = order[-1]
        self._send(made[change[0]])
        self._send(delete, late_s=random.uniform(1.0, 4.0))
        self._send(made[create[0]], late_s=random.uniform(4.0, 9.0))

    def _succeed(self, history: _History, histories: list[_History]) -> None:
        """Somebody else wants the name of what is about to go."""
        kind = history.subject.kind
        successor = _History(self._random, kind, history.name)
        successor.is_foreign = history.is_foreign
        histories.insert(0, successor)
        options: Mapping[str, type[EventData]] = {"project": ProjectCreate, "package": PackageCreate}
        data_class = options.get(kind, EnvironmentCreate)
        successor.last, successor.begun = (data_class, successor.own), True
        intent = self._intent(Sort.VALID, successor.subject, successor.next_generation(), data_class, successor.own)
        self._send(intent, late_s=self._random.uniform(0.0, 5.0))

    def _meddle(self, histories: list[_History]) -> None:
        """Something is to happen to what is being deployed."""
        random = self._random
        projects = [history for history in histories if history.builds]
        if not projects:
            return
        project = random.choice(projects)
        what = random.choice((ProjectConfigure, BuildCleanup, BuildCleanup, ProjectDelete))
        subject, generation, data = project.subject, 1, project.own
        removal: Mapping[str, Json] = random.choice(({"force": True}, {"retention": "retain"}))
        if what is BuildCleanup:
            data = {"build_id": random.choice(project.builds), **project.own}
            subject = Subject("build", data["build_id"])
        else:
            generation = project.next_generation()
            data = {**data, "settings": {"size": "odd"}} if what is ProjectConfigure else {**data, **removal}
            project.last = (what, data)
        self._send(self._intent(Sort.VALID, subject, generation, what, data), late_s=random.uniform(0.0, 5.0))

    def _around(self, history: _History, intent: Intent, histories: list[_History]) -> None:
        """What comes with a send: images are pushed, workloads are started, somebody sends nonsense."""
        random, mix = self._random, self._mix
        projects = [other for other in histories if other.builds]
        if intent.data_class is ProjectCreate and not history.is_foreign and random.random() < 0.6:
            self._push(history, at_s=self._clock + random.uniform(0.5, 6.0))
        if intent.data_class is EnvironmentCreate:
            self._around_environment(history)
        if projects and intent.data_class is EnvironmentDeploy and random.random() < 0.4:
            self._push(random.choice(projects), at_s=self._clock)
        if random.random() < (_DOUBTFUL if intent.sort is Sort.EXPIRED else mix.nonsense):
            self._send(self._nonsense(intent))

    def _around_environment(self, history: _History) -> None:
        random = self._random
        if random.random() < 0.7:
            self._act(
                self._clock + random.uniform(2.0, 10.0),
                "workload",
                environment_name=history.name,
                environment_id=history.subject.uuid,
                name="web",
                replicas=random.randint(1, 3),
            )
        if random.random() < 0.15:
            at_s = self._clock + random.uniform(1.0, 10.0)
            self._act(at_s, "lock", environment_name=history.name, holder="somebody", lasts_s=random.uniform(2.0, 15.0))
            self._act(at_s + 15.0, "unlock", environment_name=history.name)
        if random.random() < 0.15:
            at_s = self._clock + random.uniform(1.0, 10.0)
            self._act(at_s, "pin", environment_name=history.name)
            self._act(at_s + random.uniform(1.0, 20.0), "unpin", environment_name=history.name)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _intent(
        self,
        sort: Sort,
        subject: Subject,
        generation: int,
        data_class: type[EventData],
        data: Mapping[str, Json],
        *,
        event_id: str | None = None,
        like: int | None = None,
        equal: bool = False,
        change: Callable[[dict[str, Any]], None] = lambda _envelope: None,
    ) -> Intent:
        event_id = event_id or new_uuid(self._random)
        envelope = envelope_of(event_id, data_class, subject, generation, at_s=self._clock)
        if sort is Sort.EXPIRED:
            envelope["expirytime"] = _LONG_AGO
        change(envelope)
        kept = stored(data) if self._random.random() < self._mix.claim_checks else None
        if kept is not None:
            envelope.update(claim_check(event_id, kept))
        intent = Intent(
            number=len(self._story.intents),
            sort=sort,
            event_id=event_id,
            subject=subject,
            generation=generation,
            data_class=data_class,
            data=data,
            text=encode(envelope, data if kept is None else None),
            like=like,
            equal=equal,
            kept=kept,
        )
        self._story.intents.append(intent)
        return intent

    def _nonsense(self, like: Intent) -> Intent:
        """A message that resembles another one, and must not be taken for it."""
        random = self._random
        sort = random.choice(
            (Sort.MALFORMED, Sort.UNKNOWN, Sort.OTHER_AUDIENCE, Sort.ALTERED, Sort.RIVAL, Sort.ALTERED)
        )
        if like.sort is Sort.EXPIRED:
            sort = Sort.ALTERED
        changes: dict[Sort, Callable[[dict[str, Any]], None]] = {
            Sort.MALFORMED: lambda envelope: envelope.update(generation=0),
            Sort.UNKNOWN: lambda envelope: envelope.update(type="conveyor.project.paint.v1"),
            Sort.OTHER_AUDIENCE: lambda envelope: envelope.update(tenantid=new_uuid(random)),
            Sort.ALTERED: lambda envelope: envelope.update(actor="somebody else", **_expiry(like)),
        }
        return self._intent(
            sort,
            like.subject,
            like.generation,
            like.data_class,
            like.data,
            event_id=like.event_id if sort is Sort.ALTERED else None,
            like=like.number,
            change=changes.get(sort, lambda envelope: envelope.update(actor="a rival")),
        )

    def _send(self, intent: Intent, *, late_s: float = 0.0) -> None:
        random, mix = self._random, self._mix
        at_s = self._clock + late_s
        if random.random() < mix.disorder:
            at_s += random.uniform(0.0, mix.horizon_s / 3)
        self._story.sends.append(Send(at_s, intent, intent.event_id if intent.sort is Sort.VALID else new_uuid(random)))
        while random.random() < mix.twice:
            dedupe = random.choice((intent.event_id, new_uuid(random)))
            after_s = random.choice((random.uniform(0.0, 0.05), random.uniform(0.0, 15.0)))
            self._story.sends.append(Send(at_s + after_s, intent, dedupe))

    def _act(self, at_s: float, what: str, **arguments: Json) -> None:
        self._story.acts.append(Act(at_s, what, tuple(arguments.items())))


# -- what may be asked next of a subject -----------------------------------------------------------------------------------

Option = tuple[float, type[EventData], Callable[[], Mapping[str, Json]]]


def _options(history: _History, histories: list[_History]) -> Iterator[Option]:
    """Weight, event, and the making of its data."""
    match history.subject.kind:
        case "project":
            yield from _of_project(history)
        case "package":
            yield 3.0, PackageCreate, lambda: history.own
            yield 1.5 if history.begun else 0.2, PackageDelete, lambda: {**history.own, **_removal(history.random)}
        case _:
            yield from _of_environment(history, histories)


def _of_project(history: _History) -> Iterator[Option]:
    random = history.random
    identity = {"default_identity": f"{history.name}-{{{{ .Env }}}}"}
    yield 3.0, ProjectCreate, lambda: {**history.own, **random.choice(({}, {}, identity))}
    later = 1.0 if history.begun else 0.2
    yield (
        1.5 * later,
        ProjectConfigure,
        lambda: {
            **history.own,
            "settings": {"size": random.choice(("small", "large"))},
            **random.choice(({}, identity)),
        },
    )
    yield 1.5 * later, ProjectDelete, lambda: {**history.own, **_removal(random)}
    if history.builds:
        yield 1.0, BuildCleanup, lambda: {"build_id": random.choice(history.builds), **history.own}


def _removal(random: Random) -> Mapping[str, Json]:
    return random.choice(({}, {"force": True}, {"force": True}, {"retention": "retain"}))


def _of_environment(history: _History, histories: list[_History]) -> Iterator[Option]:
    random = history.random
    later = 1.0 if history.begun else 0.1
    yield 3.0 if not history.begun else 1.0, EnvironmentCreate, lambda: {**history.own, "spec": _spec(random)}
    yield 1.5 * later, EnvironmentUpdate, lambda: {**history.own, "spec": _spec(random)}
    yield 0.7 * later, EnvironmentHibernate, lambda: history.own
    yield 0.7 * later, EnvironmentWake, lambda: history.own
    yield 0.3 * later, EnvironmentUnlock, lambda: history.own
    yield 1.0 * later, EnvironmentDelete, lambda: history.own
    yield (
        (8.0 if any(project.builds for project in histories) else 1.5) * later,
        EnvironmentDeploy,
        lambda: {
            **history.own,
            "spec": _spec(random),
            "projects": [_deployment(random, project) for project in _deployable(random, histories)],
        },
    )


def _deployable(random: Random, histories: list[_History]) -> list[_History]:
    """Projects with a build, no two of one name."""
    found = {project.name: project for project in histories if project.builds and random.random() < 0.8}
    return list(found.values())


def _deployment(random: Random, project: _History) -> Mapping[str, Json]:
    return {
        **project.own,
        "build_id": random.choice(project.builds),
        "action": random.choice(("update", "update", "none", "delete")),
    }


def _spec(random: Random) -> Mapping[str, Json]:
    return random.choice(
        (
            {},
            {"quotas": {"cpu": "8", "memory": "32Gi", "storage": "64Gi", "pods": 50}},
            {"iam_identity": "given-role"},
            {"deletion_protection": True},
            {"network_egress": {"internet": False}, "description": "a closed one"},
        )
    )
