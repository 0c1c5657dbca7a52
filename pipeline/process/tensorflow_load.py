"""Loading of TensorFlow's libraries alone: `python -m pipeline.process.tensorflow_load`.

It takes a second, where importing TensorFlow takes several, and finds what keeps TensorFlow from
starting at all: a missing library, or a processor without the instructions that it is built for.
"""

from __future__ import annotations

import ctypes
import importlib.util
import pathlib
import sys

_LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")


def main() -> None:
    """Load the libraries; Python ends with an error message if one cannot be loaded."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("No module named 'tensorflow'")
    for name in _LIBRARIES:
        path = pathlib.Path(spec.submodule_search_locations[0], name)
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


if __name__ == "__main__":
    main()
