"""Tests of the model that labels, with the real TensorFlow in a process of its own."""

from __future__ import annotations

import pathlib
import subprocess
import sys

LOADING = """
import sys
from components.storage.copies import local_copies
from genreflow.labelling.model import find_model, load_model
with local_copies() as copies:
    load_model(find_model(sys.argv[1], copies), copies)
import tensorflow as tf
threads = tf.config.threading
print(threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads())
"""


def test_a_model_works_with_one_thread_so_that_no_digit_depends_on_the_cores(
    toy_models: pathlib.Path,
) -> None:
    command = [sys.executable, "-c", LOADING, str(toy_models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "1"], done.stderr
