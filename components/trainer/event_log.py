"""TensorBoard's event files of a training, one run for each network and phase, as it goes."""

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
    """Writes each epoch that it is called with; made anew, it begins anew.

    A training that goes on after it was broken off hands over its earlier epochs too, so
    no step is missing and none is there twice. Steps count the epochs of all phases, from
    1. `folder/<phase>/` is TensorBoard's run. Wall times are those of the training alone: an
    interruption leaves no gap.
    """

    def __init__(self, folder: str | os.PathLike[str], *, report: Reporter) -> None:
        """Empties the folder.

        Args:
          folder: local.
          report: hears, as a note, why nothing can be written: what is shown must not
            end what is done.
        """
        self._folder = pathlib.Path(folder)
        self._report = report
        self._begun = time.time()
        self._steps = 0
        self._seconds = 0.0
        self._phase = ""
        self._writer: Any = None
        self._broken = False
        shutil.rmtree(self._folder, ignore_errors=True)

    def __call__(self, record: EpochRecord) -> None:
        """Writes one epoch, and what is written can be read at once."""
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
            self._report(note=f"TensorBoard's files cannot be written ({first})")

    def close(self) -> None:
        """Closes the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def files(self) -> dict[str, bytes]:
        """Everything written: the content by its path below the folder, in order."""
        self.close()
        return {
            path.relative_to(self._folder).as_posix(): path.read_bytes()
            for path in sorted(self._folder.glob(f"*/{EVENTS_PREFIX}*"))
        }

    def _open(self, phase: str) -> None:
        self.close()
        folder = self._folder / phase
        folder.mkdir(parents=True, exist_ok=True)
        # A name of its own: TensorBoard would otherwise go on with the file of before.
        self._writer = tf.io.TFRecordWriter(
            str(folder / f"{EVENTS_PREFIX}{int(self._begun):010d}.genreflow")
        )
        self._phase = phase
        self._write(file_version=_FILE_VERSION)

    def _write(self, **fields: Any) -> None:
        event = tf.compat.v1.Event(wall_time=self._begun + self._seconds, **fields)
        self._writer.write(event.SerializeToString())
