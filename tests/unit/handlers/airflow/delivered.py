"""What runs inside Airflow, loaded as Airflow loads it: by its file."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import handlers.manifests.airflow

FOLDER = Path(handlers.manifests.airflow.__file__).parent / "delivered"


def load(name: str) -> ModuleType:
    """A module of its own, each time."""
    spec = spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
