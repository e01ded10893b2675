"""Deterministic simulation: the real consumer, dispatcher, ledger, handlers and drain on a virtual clock.

One seed is one run: what the control plane sends, which calls fail and how, when replicas crash, pause or are told to
stop, and whose turn it is at every step. The invariants of the architecture are checked after every step; a failure prints
its seed, and the seed alone brings it back. `python -m tests.simulation --help` says how to run it.
"""
