"""The kinds of objects that environments are made of."""

from agentd.platform import Kind

NAMESPACE = Kind("v1", "Namespace")
CONFIG_MAP = Kind("v1", "ConfigMap")
LIMIT_RANGE = Kind("v1", "LimitRange")
RESOURCE_QUOTA = Kind("v1", "ResourceQuota")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding")
LEASE = Kind("coordination.k8s.io/v1", "Lease")
DEPLOYMENT = Kind("apps/v1", "Deployment")
STATEFUL_SET = Kind("apps/v1", "StatefulSet")
SECRET = Kind("v1", "Secret")
SERVICE = Kind("v1", "Service")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim")
POD = Kind("v1", "Pod")
EVENT = Kind("v1", "Event")
JOB = Kind("batch/v1", "Job")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget")
