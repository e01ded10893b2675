"""Why an open event is not being worked on: a closed set, each with a sentence on what would unblock it."""

from enum import StrEnum


class Hold(StrEnum):
    """What users see of an event that waits. `help` says what ends the wait."""

    help: str

    def __new__(cls, value: str, help_text: str) -> "Hold":  # noqa: PYI034 - an enum's members are not subclasses
        member = str.__new__(cls, value)
        member._value_ = value
        member.help = help_text
        return member

    # inside one replica
    LANE = "lane", "Earlier events of the same subject, or of one that this event locks, must end first."
    SLOT = "slot", "All running places are in use; one is free when an attempt ends. More: `dispatch.max_running`."
    SHARE = (
        "share",
        "Its environment or project has its share of the running places. More: `dispatch.flow_share_percent`.",
    )
    # between replicas, in the ledger
    LEASE = (
        "lease",
        "Another replica works on the subject; it goes on when that one ends, or within one lease if it died.",
    )
    NAME = "name", "Another subject that holds the name is being deleted; the name is free once that is complete."
    SUBJECT = "subject", "The event that creates the subject has not come yet; send it, or wait for it."
    PREEMPTED = "preempted", "A newer delete of the same subject goes first."
    # in the work itself
    WAITING = "waiting", "Something in the cluster or the cloud must come first. The message names it."
    RETRY = "retry", "An attempt failed with a passing fault; the next one comes by itself."
    ARTIFACTS = "artifacts", "The artifact store does not answer; it is asked again by itself."
    STOPPED = (
        "stopped",
        "The replica that worked on it was told to stop, or lost the message; the next delivery goes on.",
    )
    # what the customer has said
    POLICY = "policy", "A rule of the customer's policy holds it up for now. The message names the rule."
    WINDOW = "window", "The customer's policy lets it in at certain hours. The message says when the next ones begin."
    APPROVAL = "approval", "Somebody else has to approve it first: `agentd policy approve`."
    QUOTA = (
        "quota",
        "As many events of the kind as the customer's policy allows have been let in. It goes on by itself.",
    )
    BUDGET = (
        "budget",
        "Enough has been destroyed for now: look whether it was meant, then say so with `agentd budget release`.",
    )
    PAUSED = "paused", "The customer has paused intake: nothing is received before `agentd intake resume`."
