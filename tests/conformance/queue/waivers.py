"""What each server does otherwise than AWS. A waived behaviour must still be wrong: a waiver that is not needed fails.

AWS's behaviour is that of the service's API model (2012-11-05), unless a line names another source.
"""

from collections.abc import Mapping
from types import MappingProxyType

_NO_ATTRIBUTES = "counts the body alone against MaximumMessageSize; AWS counts attributes too (SQS message quotas)"
_OLD_RECEIPT = "takes an old receipt for the message's own; ChangeMessageVisibility: MessageNotInflight"
_HIDDEN_FOR_LONG = "hides for longer than twelve hours; ChangeMessageVisibility: InvalidParameterValue"
_ONE_OF_A_GROUP = "hands out one of a group; ReceiveRequestAttemptId: as many as possible of the same group"
_LATE_DELETE = "takes a late delete; ReceiveRequestAttemptId: on FIFO queues it fails with an error"

WAIVERS: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        ("ministack", "any", "test_server_counts_attributes_as_we_do"): _NO_ATTRIBUTES,
        ("ministack", "any", "test_nothing_is_hidden_for_longer_than_the_limit"): _HIDDEN_FOR_LONG,
        ("moto", "any", "test_server_counts_attributes_as_we_do"): _NO_ATTRIBUTES,
        ("moto", "any", "test_old_receipt_extends_nothing"): _OLD_RECEIPT,
        ("moto", "any", "test_old_receipt_deletes_nothing"): _OLD_RECEIPT,
        ("moto", "fifo", "test_late_delete_is_an_error"): _LATE_DELETE,
        (
            "moto",
            "fifo",
            "test_duplicate_is_dropped_even_after_the_delete",
        ): "forgets a dedupe id with its message; MessageDeduplicationId: remembered for five minutes",
        (
            "fauxqs",
            "any",
            "test_characters_beyond_the_basic_plane_arrive",
        ): "refuses them; SendMessageBatch: #x10000 to #x10FFFF are allowed",
        (
            "fauxqs",
            "any",
            "test_deletes_answer_entry_by_entry",
        ): "says that it has deleted for a made-up receipt; DeleteMessageBatch: ReceiptHandleIsInvalid",
        ("fauxqs", "fifo", "test_old_receipt_deletes_nothing"): _LATE_DELETE,
        ("fauxqs", "fifo", "test_late_delete_is_an_error"): _LATE_DELETE,
        ("fauxqs", "fifo", "test_one_receive_brings_several_of_a_group"): _ONE_OF_A_GROUP,
        ("fauxqs", "fifo", "test_two_of_a_group_stay_in_order_when_the_first_is_shown_again"): _ONE_OF_A_GROUP,
    }
)
"""By server, kind of queue ("standard", "fifo" or "any") and behaviour, which is a test's name: what the server does instead."""


# Wrong now and then, under load: seen to fail, seen to pass. Whatever it does says nothing about the adapter.
UNSTEADY = frozenset({("moto", "test_no_message_goes_to_two_who_receive_at_once")})
"""By server and behaviour."""


def waiver(server: str, kind: str, behaviour: str) -> str | None:
    """Why the behaviour is waived for the server, or None."""
    return WAIVERS.get((server, kind, behaviour)) or WAIVERS.get((server, "any", behaviour))
