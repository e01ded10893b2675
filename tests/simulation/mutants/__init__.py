"""Planted bugs: small changes of the real code, each of which breaks one guarantee. Does the simulation notice?

`planted/*.toml` holds them as data. `python -m tests.simulation.mutants` plants them one after the other in a copy of the
tree, runs the simulation there until it fails, and says which invariant has caught which.
"""
