"""Errors of the command line's own parts."""


class StackError(Exception):
    """The stack did not come up, or fell over; the message says which part and where its output is."""
