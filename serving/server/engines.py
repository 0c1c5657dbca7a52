"""Which program serves: ours, or TensorFlow Serving's own where it is installed."""

from __future__ import annotations

import contextlib

from serving.server.options import ServeOptions
from serving.server.run import Loading, Say


def serve(
    options: ServeOptions, say: Say, warn: Say, loading: Loading = contextlib.nullcontext
) -> int:
    """Serves until told to stop; the exit status.

    Raises:
      OptionError: an option cannot be used, by this engine at least.
      ModelFolderError: a model cannot be loaded.
    """
    from serving import tensorflow_serving

    if tensorflow_serving.use_it(options):
        return tensorflow_serving.serve(options, say=warn)
    from serving.server import run

    return run.serve(options, say, warn, loading)
