"""The order of admission: first what may change an object, then what may only refuse it."""

from agentd.embedded.kube.admission.limits import apply_limits, check_claim_limits, check_limits
from agentd.embedded.kube.admission.namespaces import check_namespace
from agentd.embedded.kube.admission.pod_extras import add_priority, add_tolerations
from agentd.embedded.kube.admission.pod_security import check_pod, warn_of_existing, warn_of_template
from agentd.embedded.kube.admission.quotas import charge
from agentd.embedded.kube.admission.request import Request
from agentd.embedded.kube.admission.service_accounts import add_account
from agentd.embedded.kube.kinds import NAMESPACES, PODS
from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.world import World

_CLAIMS = ("", "persistentvolumeclaims")


def admit(world: World, request: Request, new: Object, live: Object | None) -> None:
    """What comes before validation; may change the object. ApiError 403 or 404."""
    if live is None:
        check_namespace(world, request.kind, request.namespace, new)
    if live is None and request.kind.resource == PODS:
        apply_limits(world, new)
        add_account(world, request, new)
        add_priority(world, request, new)
    if request.kind.resource == PODS and not request.subresource:
        add_tolerations(new)  # after a change of the pod, too: the list is replaced as a whole


def check_admission(world: World, request: Request, new: Object, live: Object | None) -> None:
    """What comes after validation. ApiError 403."""
    if request.subresource:
        return
    resource = request.kind.resource
    if resource == PODS:
        if live is None:
            check_limits(world, request, new)
        check_pod(world, request, new, live)
    elif resource == NAMESPACES:
        warn_of_existing(world, request, new, live)
    elif resource == _CLAIMS:
        check_claim_limits(world, request, new)
    else:
        warn_of_template(world, request, new)
    charge(world, request, new, live)
