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

    LANE = "lane", "Earlier events of the same subject, or of one that this event locks, must end first."
    SLOT = "slot", "All running places, or the share of them that one environment or project may have, are in use."
    LEASE = (
        "lease",
        "Another replica works on the subject; it goes on when that one ends, or within one lease if it died.",
    )
    NAME = "name", "Another subject that holds the name is being deleted; the name is free once that is complete."
    SUBJECT = "subject", "The event that creates the subject has not come yet; send it, or wait for it."
    RETRY = "retry", "An attempt failed with a passing fault; the next one comes by itself."
    ARTIFACTS = "artifacts", "The artifact store does not answer; it is asked again by itself."
    WAITING = "waiting", "Something in the cluster or the cloud must come first. The message names it."
    PREEMPTED = "preempted", "A newer delete of the same subject goes first."
