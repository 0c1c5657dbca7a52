"""Importing TFX sooner: a process that runs one node imports for longer than most nodes work."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

from components.common.cpu import usable_cores


def suit_tensorflow() -> None:
    """Before it is imported: no threads beyond a container's limit, and no news in a step's log."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(usable_cores()))


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """For a block of imports: no garbage is collected, as the million new objects are kept
    anyway; a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            # Google's packages tell each process of the future of Python 3.10 and of gRPC.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
            yield
    finally:
        if enabled:
            gc.enable()


def defer(package: str) -> None:
    """Lets a package be imported without what its `__init__` gathers.

    That runs when somebody asks the package for a name which is none of its submodules; its
    submodules import as ever. For `tfx.components`: TFX's launcher imports one constant below it,
    and with it every component there is and their libraries (TFMA, Kubernetes' client, ...), a
    quarter of the time.

    Raises:
      ModuleNotFoundError: there is no such package.
    """
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = _Deferred(package)
    module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, package
    module.__file__, module.__path__ = spec.origin, list(spec.submodule_search_locations or ())
    sys.modules[package] = module
    parent, _, name = package.rpartition(".")
    if parent:  # as an import does
        setattr(sys.modules[parent], name, module)


class _Deferred(types.ModuleType):
    """A package whose `__init__` has not run yet."""

    __path__: list[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        assert self.__spec__
        assert self.__spec__.loader
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)
