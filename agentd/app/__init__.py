"""The composition root: which parts the daemon is made of, how they start, and in which order they stop."""
