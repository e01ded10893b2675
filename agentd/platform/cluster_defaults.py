"""What every environment of a cluster is given: the installation's choice, the same for every handler."""

from dataclasses import dataclass

# Ranges that are not the internet. Source: RFC 1918 (private), RFC 6598 (shared, used by cloud networks), RFC 3927 and
# RFC 4291 (link-local, where clouds serve instance credentials), RFC 4193 (unique local).
NOT_THE_INTERNET = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)


@dataclass(frozen=True, slots=True)
class ClusterDefaults:
    """Handlers get it by `ctx.port(ClusterDefaults)`."""

    system_namespace: str
    """Where the agent itself runs; projects' configurations are kept there, and its pods may connect to every environment's."""
    tenant_id: str | None = None
    """Goes on every object as a label."""
    api_server_cidrs: tuple[str, ...] = ()
    """Where the API server is, as pods see it. Unknown when empty: Airflow's pods may then connect to its ports anywhere."""
    api_server_ports: tuple[int, ...] = (443, 6443)
    """Its ports, as pods see them: the service's own and the usual one behind it."""
    internal_cidrs: tuple[str, ...] = NOT_THE_INTERNET
    """What is not the internet: an environment reaches it only where its own rules say so."""
    dns_namespace: str = "kube-system"
    """Where the cluster's DNS runs."""
    dns_labels: tuple[tuple[str, str], ...] = (("k8s-app", "kube-dns"),)
    """Labels of its pods: CoreDNS keeps those of its predecessor, on EKS and AKS as well."""
    ready_wait_s: float = 4.0
    """How long a step waits in place until what it has started is ready, in seconds; then the event is looked at again later."""
    delete_wait_s: float = 4.0
    """How long a delete waits in place until the object is gone, in seconds; then the event is looked at again later."""
