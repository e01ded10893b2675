"""What each event means, as idempotent steps."""

HANDLERS: tuple[object, ...] = ()
