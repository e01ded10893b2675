"""The client library without its classes for every kind of object, which are not used: 35 MiB, and a fifth of a second at start.

Its packages import all that is in them. Here they are put in place first, and run only when somebody asks one of them for
something that has not been imported by its own name.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
from types import ModuleType


def _put_in_place(name: str) -> ModuleType:
    """The package; its `__init__` runs when more is wanted of it than is there."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def answer(wanted: str) -> object:
        if wanted == "__version__":  # the package's own modules ask for it
            return importlib.metadata.version("kubernetes_asyncio")
        if wanted.startswith("__"):  # what the import system and others look whether there is
            raise AttributeError(wanted)
        if importlib.util.find_spec(f"{name}.{wanted}") is not None:  # and to run all for one of them leads in a circle
            return importlib.import_module(f"{name}.{wanted}")
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, wanted)

    package.__dict__["__getattr__"] = answer
    sys.modules[name] = package
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, package)
    return package


for _name in ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.client.models"):
    _put_in_place(_name)
importlib.import_module("kubernetes_asyncio.client.rest")  # first: the client asks its package for it

from kubernetes_asyncio.client.api_client import ApiClient  # noqa: E402
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402

# Which the readers of kubeconfigs ask their package for.
sys.modules["kubernetes_asyncio.client"].__dict__.update(ApiClient=ApiClient, Configuration=Configuration)

from kubernetes_asyncio.config import (  # noqa: E402
    ConfigException,
    load_incluster_config,
    load_kube_config,
    load_kube_config_from_dict,
)
from kubernetes_asyncio.config.kube_config import KubeConfigLoader  # noqa: E402

__all__ = [
    "ApiClient",
    "ConfigException",
    "Configuration",
    "KubeConfigLoader",
    "load_incluster_config",
    "load_kube_config",
    "load_kube_config_from_dict",
]
