"""TensorBoard's event files of a training, one TensorBoard run for each network and phase."""

from __future__ import annotations

import os
import pathlib
import shutil
import time
from typing import Any

import tensorflow as tf

from components.trainer.callbacks import EpochRecord, Reporter
from components.trainer.history import EVENTS_PREFIX

SCALARS = ("loss", "val_loss", "accuracy", "val_accuracy", "learning_rate")

_FILE_VERSION = "brain.Event:2"


class EventLog:
    """Writer of each epoch's record to event files, in `folder/<phase>/`.

    Steps count the epochs of all phases, from 1. A new log starts empty. A resumed training
    passes its earlier epochs too, so no step is missing or doubled. Wall times count the
    training alone, so an interruption leaves no gap.
    """

    def __init__(self, folder: str | os.PathLike[str], *, report: Reporter) -> None:
        """Empty the folder.

        Args:
          folder: a local folder.
          report: gets a note if the files cannot be written. That does not end the training.
        """
        self._folder = pathlib.Path(folder)
        self._report = report
        self._started = time.time()
        self._steps = 0
        self._seconds = 0.0
        self._phase = ""
        self._writer: Any = None
        self._broken = False
        shutil.rmtree(self._folder, ignore_errors=True)

    def __call__(self, record: EpochRecord) -> None:
        """Write one epoch, flushed so that TensorBoard reads it at once."""
        self._steps += 1
        self._seconds += record.seconds
        if self._broken:
            return
        try:
            if record.phase != self._phase:
                self._open(record.phase)
            values = [
                tf.compat.v1.Summary.Value(tag=name, simple_value=getattr(record, name))
                for name in SCALARS
            ]
            self._write(step=self._steps, summary=tf.compat.v1.Summary(value=values))
            self._writer.flush()
        except (OSError, tf.errors.OpError) as error:
            self._broken = True
            first = str(error).strip().splitlines()[0]
            self._report(
                note=f"TensorBoard's files cannot be written ({first}); "
                "training continues without them"
            )

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def files(self) -> dict[str, bytes]:
        """Return the content of each file by its path below the folder, in order."""
        self.close()
        return {
            path.relative_to(self._folder).as_posix(): path.read_bytes()
            for path in sorted(self._folder.glob(f"*/{EVENTS_PREFIX}*"))
        }

    def _open(self, phase: str) -> None:
        self.close()
        folder = self._folder / phase
        folder.mkdir(parents=True, exist_ok=True)
        # A new name, because TensorBoard would otherwise continue with the previous file.
        self._writer = tf.io.TFRecordWriter(
            str(folder / f"{EVENTS_PREFIX}{int(self._started):010d}.genreflow")
        )
        self._phase = phase
        self._write(file_version=_FILE_VERSION)

    def _write(self, **fields: Any) -> None:
        event = tf.compat.v1.Event(wall_time=self._started + self._seconds, **fields)
        self._writer.write(event.SerializeToString())
