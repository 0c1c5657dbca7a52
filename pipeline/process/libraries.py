"""Heavy libraries in a process: quicker imports of TFX, and an exit without their teardown."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from components.common.native_output import discard_stderr
from components.common.resources import usable_cores


def configure_tensorflow() -> None:
    """Limit TensorFlow's threads to a container's cores and quieten its log; call before import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(usable_cores()))


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Pause garbage collection during a block of imports, which saves a sixth of the time.

    All of the million new objects are kept anyway. What libraries write to stderr meanwhile is
    discarded: TensorFlow 2.21 comments on missing GPUs before it reads any log level.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        with discard_stderr(), warnings.catch_warnings():
            # Google's packages warn each process about Python 3.10 and gRPC.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
            yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def tfx_imports() -> Iterator[None]:
    """Import parts of TFX, and our modules that need it, as quickly as possible in a block.

    They must be imported from their own submodules. The `__init__` of `tfx.components` would import
    all components and their libraries (Kubernetes' client, TensorFlow Transform, ...).
    """
    defer("tfx.components")
    defer("tensorflow_model_analysis", then=_name_configuration)
    with quick_imports():
        yield


def _name_configuration(tfma: Any) -> None:
    """Name the messages of TFMA's configuration in TFMA itself, where TFX's Evaluator looks.

    TFMA 0.52 no longer does. TFX does so in the `__init__` of `tfx.components`, which is deferred.
    """
    from tensorflow_model_analysis.proto import config_pb2

    for name in config_pb2.DESCRIPTOR.message_types_by_name:
        if not hasattr(tfma, name):
            setattr(tfma, name, getattr(config_pb2, name))


def defer(package: str, then: Callable[[Any], None] | None = None) -> None:
    """Defer a package's `__init__` until a name is needed that is not a submodule.

    Its submodules import as usual.

    Args:
      package: its name.
      then: called with the module when its `__init__` has run; at once if it has already.

    Raises:
      ModuleNotFoundError: there is no such package.
    """
    if package in sys.modules:
        loaded = sys.modules[package]
        if then and not isinstance(loaded, _Deferred):
            then(loaded)
        return
    spec = importlib.util.find_spec(package)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = _Deferred(package)
    module.__dict__["_then"] = then
    module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, package
    module.__file__, module.__path__ = spec.origin, list(spec.submodule_search_locations or ())
    sys.modules[package] = module
    parent, _, name = package.rpartition(".")
    if parent:  # as the import system does
        setattr(sys.modules[parent], name, module)


class _Deferred(types.ModuleType):
    """Package whose `__init__` has not run yet."""

    __path__: list[str]
    _then: Callable[[Any], None] | None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        then = self.__dict__.pop("_then")
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        assert self.__spec__
        assert self.__spec__.loader
        self.__spec__.loader.exec_module(self)
        if then:
            then(self)
        return getattr(self, name)


def exit_at_once(status: int) -> NoReturn:
    """Flush the output and end this process without tearing down native libraries.

    TensorFlow's libraries may abort in their teardown, after all work is done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
