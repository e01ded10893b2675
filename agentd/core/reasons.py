"""Why an event ended as it did: a closed set, each with a sentence of help."""

from enum import StrEnum


class Reason(StrEnum):
    """What users see beside an outcome. `help` says what to do about it."""

    help: str

    def __new__(cls, value: str, help_text: str) -> "Reason":  # noqa: PYI034 - an enum's members are not subclasses
        member = str.__new__(cls, value)
        member._value_ = value
        member.help = help_text
        return member

    # rejected
    MALFORMED = (
        "malformed",
        "The message is no valid CloudEvent of this contract. Mend what the message names and send it as a new event.",
    )
    UNKNOWN_TYPE = (
        "unknown_type",
        "This agent does not know the event type or its version. Upgrade the agent, then redrive the event.",
    )
    UNSUPPORTED = (
        "unsupported",
        "The event asks for something that this agent's version cannot do. Upgrade the agent, then redrive the event.",
    )
    BAD_SIGNATURE = (
        "bad_signature",
        "The event's signature is missing or does not hold. Check the key set on both sides.",
    )
    STALE = (
        "stale",
        "The event was signed longer ago than this agent takes, so it may be an old one sent again. If it is still wanted, send it as a new event.",
    )
    WRONG_AUDIENCE = (
        "wrong_audience",
        "The event is meant for another tenant or cluster. Check tenantid and clusterid at the sender.",
    )
    EXPIRED = "expired", "The event arrived after its expirytime. Send it again as a new event if it is still wanted."
    POLICY_REFUSED = "policy_refused", "The customer's policy forbids this event. The message names the rule."
    CONFLICT = (
        "conflict",
        "Another event has the same id with other content, or the same generation of the same subject. Give every change its own id and generation.",
    )
    DATA_UNAVAILABLE = (
        "data_unavailable",
        "The data that dataref names is not in the artifact store, or not what size and digest promise. Upload it again and send a new event.",
    )
    # failed
    ACCESS_DENIED = (
        "access_denied",
        "The agent's identity lacks a permission. The message names the call; grant it, then redrive the event.",
    )
    ATTEMPTS_EXHAUSTED = (
        "attempts_exhausted",
        "Every attempt met a passing fault. The message has the last one; mend its cause, then redrive the event.",
    )
    CRASH_LOOP = (
        "crash_loop",
        "The agent stopped in the middle of every attempt. Look at its logs and memory limit, then redrive the event.",
    )
    DEFERRED_TOO_LONG = (
        "deferred_too_long",
        "What the event waits for did not come in time. The message names it; redrive the event once it is there.",
    )
    DELETED = "deleted", "The subject has been deleted. Create it again with a newer generation first."
    FOREIGN_OBJECT = (
        "foreign_object",
        "An object of this name exists and is not the agent's own; it was left untouched. Rename or remove it, then redrive the event.",
    )
    IMAGE_MISSING = "image_missing", "The image is not in the registry. Push the build again, then redrive the event."
    INTERNAL_ERROR = (
        "internal_error",
        "A defect in the agent or in a handler. Report it with the event's id; the log has the traceback.",
    )
    INVALID_REQUEST = (
        "invalid_request",
        "The provider refuses the request as invalid. The message has its answer; mend the event's data.",
    )
    IDENTITY_NOT_TRUSTED = (
        "identity_not_trusted",
        "The trust policy of the role that the event names does not let the environment's service accounts become it. Add the statement in the message to it, then redrive the event.",
    )
    IN_USE = "in_use", "Something still uses what should go. The message names it; undeploy it, then redrive the event."
    MIGRATION_FAILED = (
        "migration_failed",
        "Airflow's database could not be brought to the release's schema. The message has what the Job said; mend its cause, then redrive the event.",
    )
    NAME_TAKEN = (
        "name_taken",
        "Another subject holds this name. Choose another name, or delete the other subject first.",
    )
    NOT_EMPTY = "not_empty", "The repository still holds images. Delete them, or send a newer delete with force."
    PROTECTED = (
        "protected",
        "The environment is protected against deletion. Send an update that lifts deletion_protection, then redrive the event.",
    )
    QUOTA_EXCEEDED = (
        "quota_exceeded",
        "A quota of the cloud account or of the namespace is used up. Raise it, then redrive the event.",
    )
    RECEIVE_LIMIT = (
        "receive_limit",
        "The queue gave the message up before the agent could finish it. Raise maxReceiveCount, then redrive the event.",
    )
    IMAGE_DENIED = (
        "image_denied",
        "The registry does not let the nodes pull the image. Grant their identity or the pull secret access to the repository, then redrive the event.",
    )
    IMAGE_UNREACHABLE = (
        "image_unreachable",
        "The nodes cannot reach the image's registry, or it slows them down. Check their way to it (DNS, proxy, certificates, network), then redrive the event.",
    )
    IMAGE_UNUSABLE = (
        "image_unusable",
        "The image cannot be used on the nodes: its name is none, it is for other processors, or it is damaged. Build it again, then redrive the event.",
    )
    NO_FITTING_NODE = (
        "no_fitting_node",
        "No node of the cluster may take the pod: labels, taints or the zone of a volume are in the way. Compare the settings of nodes with those of the cluster, then redrive the event.",
    )
    NO_CAPACITY = (
        "no_capacity",
        "No node has as much left as the pod asks for. Add nodes or let the cluster grow, or ask for less, then redrive the event.",
    )
    POD_REFUSED = (
        "pod_refused",
        "The cluster refuses to create the pod: pod security, a webhook, or a missing service account. The message has its words.",
    )
    OUT_OF_MEMORY = (
        "out_of_memory",
        "A container used more memory than its limit and was ended. Raise the limit or load less, then redrive the event.",
    )
    CONTAINER_FAILED = (
        "container_failed",
        "A container ends again and again, or cannot be started. The message has its exit code and last words; its log has the rest.",
    )
    CONFIGURATION_MISSING = (
        "configuration_missing",
        "A Secret, a ConfigMap or a key in one that a pod reads is not there. The message names it; put it back, then redrive the event.",
    )
    VOLUME_UNAVAILABLE = (
        "volume_unavailable",
        "A volume cannot be made, attached or mounted. Check the storage class and its driver, then redrive the event.",
    )
    EVICTED = (
        "evicted",
        "A node ran short of memory or disk, or went away, and gave the pod up. Redrive the event once there is room.",
    )
    PROBE_FAILING = (
        "probe_failing",
        "A container runs and does not answer its probe. Its log says what it is doing; give it more CPU or time if it is only slow.",
    )
    NOT_UP_IN_TIME = (
        "not_up_in_time",
        "What was started is not at work within its time. The message says what it looks like; raise the step's time if it is only slow.",
    )
    IMPORT_ERRORS = (
        "import_errors",
        "Airflow cannot import files of a build. The message has the end of each traceback; mend the DAGs and deploy a new build.",
    )
    DUPLICATE_DAGS = (
        "duplicate_dags",
        "Two projects of the environment have a DAG of the same id, and Airflow would take now one and now the other. Rename one and deploy a new build.",
    )
    # superseded
    NEWER_GENERATION = "newer_generation", "A newer generation of the same subject has been taken up; nothing is lost."
    # passing faults: why an attempt is repeated, and part of the message when attempts are used up
    THROTTLED = (
        "throttled",
        "The provider slows the agent down. It goes on by itself; raise the account's rate limit if it lasts.",
    )
    UNAVAILABLE = (
        "unavailable",
        "The provider does not answer, or answers with a fault of its own. The agent tries again by itself.",
    )
    PLAN_OUTDATED = (
        "plan_outdated",
        "What the event would change is not what its plan said any more. Make a new plan, look at it, and send a new event with its hash.",
    )
    TIMED_OUT = "timed_out", "The event's deadline passed in the middle of the work. The agent tries again by itself."
    # waiting without blame
    WAITING = "waiting", "The event waits for something else to come first. The message names it."
    POLICY = (
        "policy",
        "The customer's policy lets the event in later, or once it has been approved. The message names the rule.",
    )
    BUDGET = (
        "budget",
        "As many destructive steps as the customer allows have been done; the next wait until somebody has looked: `agentd budget release`.",
    )
    PREEMPTED = "preempted", "A newer delete of the same subject goes first."
    LEASE_LOST = "lease_lost", "Another replica has taken the subject over."
