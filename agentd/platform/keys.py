"""Keys of what the agent writes on objects: labels and annotations of Kubernetes, tags of a cloud.

On Kubernetes all are in the metadata of objects, never in a pod template.

Source of the recommended ones: "Recommended labels" and "Well-known labels, annotations and taints" of Kubernetes.
"""

PREFIX = "conveyor.internal"

# Labels that the cluster adapter puts on every object.
OWNER_ID = f"{PREFIX}/owner-id"
GENERATION = f"{PREFIX}/generation"
EVENT_ID = f"{PREFIX}/event-id"
SUBJECT = f"{PREFIX}/subject"
"""What an object of a cloud belongs to, such as `project/<id>`."""
ENVIRONMENT_ID = f"{PREFIX}/environment-id"
"""Also `project-id` and so on: `<kind>-id` of the subject that the object belongs to."""

# Labels and annotations that say what an object is about.
TRACE_ID = f"{PREFIX}/trace-id"
TENANT_ID = f"{PREFIX}/tenant-id"
PROJECT_ID = f"{PREFIX}/project-id"
PROJECT_NAME = f"{PREFIX}/project-name"
BUILD_ID = f"{PREFIX}/build-id"
IMAGE_DIGEST = f"{PREFIX}/image-digest"
AIRFLOW_VERSION = f"{PREFIX}/airflow-version"
DELETION_PROTECTION = f"{PREFIX}/deletion-protection"
DESCRIPTION = f"{PREFIX}/description"
POWER = f"{PREFIX}/power"
REPLICAS = f"{PREFIX}/replicas"
"""How many replicas a hibernated workload had."""

# Recommended by Kubernetes.
MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
VERSION = "app.kubernetes.io/version"

# Put on every namespace by the API server: its own name.
NAMESPACE_NAME = "kubernetes.io/metadata.name"
