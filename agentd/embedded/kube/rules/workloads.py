"""Rules of deployments, replica sets, stateful sets and daemon sets."""

from collections.abc import Iterator

from agentd.embedded.kube.defaulting.workloads import TEMPLATE_GENERATION
from agentd.embedded.kube.objects import Object, ObjectView, annotations_of, child, dig, metadata
from agentd.embedded.kube.rules.common import check_enum, check_immutable, check_not_negative, check_own_template
from agentd.embedded.kube.rules.meta import check_labels
from agentd.embedded.kube.rules.pod_spec import check_pod_spec
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause, forbidden_field, unsupported
from agentd.embedded.kube.world import World

_COUNTS = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
_STATEFUL_FREE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def check_template(template: ObjectView, path: str) -> Iterator[Cause]:
    """A pod template."""
    yield from check_labels(child(template, "metadata", "labels"), f"{path}.labels")
    yield from check_pod_spec(child(template, "spec"), f"{path}.spec")


def _check_always(item: Object) -> Iterator[Cause]:
    """What keeps pods running makes pods that restart."""
    spec = child(item, "spec")
    yield from check_not_negative(spec, _COUNTS, "spec")
    yield from check_own_template(spec, "spec")
    yield from check_template(child(spec, "template"), "spec.template")
    policy = dig(spec, "template", "spec", "restartPolicy")
    if policy not in (None, "Always"):
        yield unsupported("spec.template.spec.restartPolicy", policy, ["Always"])


def _check_deployment(item: Object) -> Iterator[Cause]:
    yield from _check_always(item)
    strategy = child(item, "spec", "strategy")
    yield from check_enum(strategy.get("type"), ("Recreate", "RollingUpdate"), "spec.strategy.type")
    if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
        told = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field("spec.strategy.rollingUpdate", told)


def _check_selector_kept(new: Object, live: Object) -> Iterator[Cause]:
    return check_immutable(new, live, "spec", "selector")


def _check_stateful_kept(new: Object, live: Object) -> Iterator[Cause]:
    kept_new = {name: value for name, value in new["spec"].items() if name not in _STATEFUL_FREE}
    kept_live = {name: value for name, value in live["spec"].items() if name not in _STATEFUL_FREE}
    if kept_new != kept_live:
        listed = ", ".join(f"'{name}'" for name in _STATEFUL_FREE[:-1])
        yield forbidden_field(
            "spec", f"updates to statefulset spec for fields other than {listed} and 'minReadySeconds' are forbidden"
        )


def _count_templates(_world: World, new: Object, live: Object) -> None:
    generation = int(annotations_of(live).get(TEMPLATE_GENERATION, "1"))
    if dig(new, "spec", "template") != dig(live, "spec", "template"):
        generation += 1
    metadata(new).setdefault("annotations", {})[TEMPLATE_GENERATION] = str(generation)


DEPLOYMENT_RULES = Rules(validate=_check_deployment, validate_update=_check_selector_kept)
REPLICA_SET_RULES = Rules(validate=_check_always, validate_update=_check_selector_kept)
STATEFUL_SET_RULES = Rules(validate=_check_always, validate_update=_check_stateful_kept)
DAEMON_SET_RULES = Rules(prepare_update=_count_templates, validate=_check_always, validate_update=_check_selector_kept)
