"""The garbage collector, set for a daemon."""

import gc

_NEW_OBJECTS = 10_000  # some two hundred events' worth between two looks of the garbage collector


def spare_the_collector() -> None:
    """What there is by now lives as long as the process, and events leave few cycles behind: look less often, at less."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
