"""The manners of the simulated queues, which are those of SQS."""

from collections.abc import Sequence
from random import Random

from agentd.bus import Done, Outgoing, ReceiptLost, Received
from tests.simulation.loop import SimLoop, Stalled, new_loop
from tests.simulation.queues import QueueFaults, QueueServer, QueueSettings
from tests.simulation.queues.server import Listener


class Counter:
    """A server, and somebody who asks it."""

    def __init__(self, *, fifo: bool = False, changes_receipts: bool = False, most: int | None = None) -> None:
        self.loop: SimLoop = new_loop(Random(1))
        faults = QueueFaults((), Random(1))
        aside = QueueServer("dead-letters", QueueSettings(fifo=fifo), self.loop, Random(1), faults, Listener())
        settings = QueueSettings(fifo=fifo, changes_receipts=changes_receipts, max_receive_count=most)
        self.server = QueueServer("commands", settings, self.loop, Random(1), faults, Listener(), aside)
        self.aside = aside

    def send(self, *bodies: str, group: str = "g") -> None:
        """Messages of one group."""
        for body in bodies:
            assert self.server.send(Outgoing(body, group=group, dedupe_id=body), by="somebody") == Done()

    def receive(self, *, wait_s: float = 0.0, visibility_s: float = 30.0) -> list[Received]:
        """What is handed out at once."""
        got: list[Sequence[Received]] = []
        self.server.receive(10, wait_s=wait_s, visibility_s=visibility_s, reply=got.append, by="somebody")
        return list(got[0]) if got else []

    def pass_time(self, seconds: float) -> None:
        """Let it go by."""
        until = self.loop.time() + seconds
        self.loop.call_at(until, lambda: None, context=self.loop.server_context)
        try:
            self.loop.run_while(lambda: self.loop.time() < until)
        except Stalled:
            raise AssertionError("the clock stands still") from None


def test_a_message_is_hidden_until_its_visibility_ends_and_then_shown_with_another_receipt() -> None:
    at = Counter()
    at.send("a")
    [first] = at.receive()
    assert at.receive() == []
    at.pass_time(31.0)
    [again] = at.receive()
    assert (again.message_id, again.receive_count) == (first.message_id, 2)
    assert again.receipt != first.receipt


def test_a_delete_with_an_old_receipt_succeeds_and_deletes_nothing() -> None:
    at = Counter()
    at.send("a")
    [first] = at.receive()
    at.pass_time(31.0)
    at.receive()
    assert at.server.delete(first.receipt, by="somebody") == Done()
    assert len(at.server.messages) == 1


def test_a_fifo_group_hands_out_nothing_while_one_of_its_messages_is_in_flight() -> None:
    at = Counter(fifo=True)
    at.send("a", "b")
    at.send("c", group="other")
    received = at.receive()
    assert [message.body for message in received] == ["a", "b", "c"]
    at.send("d")
    assert at.receive() == []
    for message in received[:2]:
        assert at.server.delete(message.receipt, by="somebody") == Done()
    assert [message.body for message in at.receive()] == ["d"]


def test_a_fifo_queue_refuses_a_delete_that_comes_too_late_and_drops_what_it_has_had() -> None:
    at = Counter(fifo=True)
    at.send("a", "a")
    [only] = at.receive()
    at.pass_time(31.0)
    assert isinstance(at.server.delete(only.receipt, by="somebody"), ReceiptLost)


def test_a_change_of_visibility_may_bring_a_new_receipt() -> None:
    at = Counter(changes_receipts=True)
    at.send("a")
    [first] = at.receive()
    changed = at.server.change_visibility(first.receipt, 10.0, by="somebody")
    assert isinstance(changed, Done)
    assert changed.receipt not in (None, first.receipt)
    assert isinstance(at.server.delete(first.receipt, by="somebody"), ReceiptLost)
    assert at.server.delete(changed.receipt or "", by="somebody") == Done()


def test_what_was_handed_out_too_often_is_moved_aside() -> None:
    at = Counter(most=2)
    at.send("a")
    for _ in range(2):
        assert len(at.receive()) == 1
        at.pass_time(31.0)
    assert at.receive() == []
    assert [message.body for message in at.aside.messages.values()] == ["a"]


def test_a_long_poll_returns_as_soon_as_there_is_something() -> None:
    at = Counter()
    got: list[tuple[float, int]] = []
    at.server.receive(
        10,
        wait_s=20.0,
        visibility_s=30.0,
        reply=lambda received: got.append((round(at.loop.time(), 2), len(received))),
        by="somebody",
    )
    at.pass_time(5.0)
    at.send("a")
    at.pass_time(1.0)
    assert got == [(5.0, 1)]
