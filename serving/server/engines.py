"""Which program serves: ours, or TensorFlow Serving's own where it is installed."""

from __future__ import annotations

import contextlib
import dataclasses

from serving.server.config.options import ENGINES, ServeOptions
from serving.server.run import Loading, Say


def serve(
    options: ServeOptions, say: Say, warn: Say, loading: Loading = contextlib.nullcontext
) -> int:
    """Serves until told to stop; the exit status.

    Raises:
      OptionError: an option cannot be used, by this engine at least.
      ModelFolderError: a model cannot be loaded.
    """
    from serving.tensorflow_serving import engine as tensorflow_serving

    if tensorflow_serving.use_it(options):
        theirs = dataclasses.replace(options, engine=tensorflow_serving.ENGINE)
        return tensorflow_serving.serve(theirs, say=warn)
    from serving.server import run

    return run.serve(dataclasses.replace(options, engine=ENGINES[0]), say, warn, loading)
