"""The story that the demo tells and that the tests hold the daemon to: what is sent, and how each event must end."""

from collections.abc import Sequence

from agentd.cli.story.acts import Act, Expected, Telling
from agentd.cli.story.script import Script
from agentd.cli.story.stage import Stage, open_ledger

__all__ = ["Act", "Expected", "Stage", "Telling", "open_ledger", "story"]

_CREATED = Expected("succeeded", changed=True)
_UNCHANGED = Expected("succeeded")
_IN_USE = Expected("failed", reason="in_use")
_LATE = Expected("superseded", reason="newer_generation")
_FOREIGN = Expected("failed", reason="foreign_object")
_REDRIVEN = Expected("succeeded", changed=True, epoch=2)


def story(*, fifo: bool = False) -> Sequence[Act]:
    """Every outcome, and every way that a message can be wrong, late or double.

    On a FIFO queue nothing overtakes an event of its own subject, so that there a deploy comes after its environment.
    """
    script = Script()
    return (*_repositories(script), _environments_begin(script, fifo=fifo), *_environments(script), *_endings(script))


def _repositories(script: Script) -> Sequence[Act]:
    malformed = Telling("no CloudEvent at all", '{"hello": "world"', None, Expected("rejected", reason="malformed"))
    return (
        Act(
            (
                script.create("alpha", 1, _CREATED),
                script.create("beta", 1, _CREATED),
                script.create_package("tools", 1, _CREATED),
            )
        ),
        Act((script.again("create alpha 1", _CREATED, "the same event once more"),)),
        Act((script.create("alpha", 3, _UNCHANGED, "nothing new in it"),)),
        Act((script.create("alpha", 2, _LATE, "late"),)),
        Act((script.unknown(), malformed)),
        Act(
            (
                script.create("gamma", 1, _CREATED, "throttled twice"),
                script.create("delta", 1, _FOREIGN, "whose place is taken"),
            ),
            prepare=Stage.trouble,
        ),
        Act((script.again("create delta 1", _REDRIVEN, "redriven"),), prepare=Stage.make_room, sends=False),
    )


def _environments_begin(script: Script, *, fifo: bool) -> Act:
    deploy = script.deploy("staging", 2, {}, _CREATED, "after its environment" if fifo else "before its environment")
    create = script.create_environment("staging", 1, _CREATED, before=None if fifo else Stage.until_the_deploy_waits)
    others = (script.create_environment("dev", 1, _CREATED), script.configure("gamma", 2, _CREATED))
    return Act((create, deploy, *others) if fifo else (deploy, create, *others))


def _environments(script: Script) -> Sequence[Act]:
    builds = {"alpha": "build used", "gamma": "build fast"}
    return (
        Act((script.update_environment("dev", 2, _CREATED),), prepare=Stage.push_builds),
        Act((script.deploy("dev", 3, builds, _CREATED, "two projects"),)),
        Act((script.deploy("dev", 4, builds, _UNCHANGED, "nothing new in it"),)),
        Act((script.hibernate("dev", 5, _CREATED),)),
        Act((script.wake("dev", 6, _CREATED),)),
        Act((script.create_environment("taken", 1, _FOREIGN, "a foreign namespace"),), prepare=Stage.occupy_namespace),
        Act(
            (script.delete_environment("staging", 3, _CREATED, "held by a foreign finalizer"),),
            prepare=Stage.hold_staging,
            meanwhile=Stage.release_staging,
        ),
    )


def _endings(script: Script) -> Sequence[Act]:
    return (
        Act(
            (
                script.clean_up("build used", _IN_USE, "deployed"),
                script.clean_up("build old", _CREATED, "not deployed"),
            )
        ),
        Act((script.delete("beta", 2, _CREATED),)),
        Act((script.create("beta", 3, _CREATED, "after its delete"),)),
        Act((script.delete("alpha", 4, _IN_USE, "a build is deployed", force=True),)),
    )
