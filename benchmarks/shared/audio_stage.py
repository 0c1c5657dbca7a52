"""The audio stage on real mp3s under many names, as the pipeline runs it. Imports TFX late.

All repeated files would be duplicates. Their fingerprints are salted with the track ids, so the
search for duplicates does its usual work and finds none.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.shared import command


def write_corpus(folder: pathlib.Path, tracks: int) -> None:
    """Make a folder of hard links to the real FMA mp3s, with a manifest.

    Args:
      folder: the folder to make; the copies that are linked to are beside it.
      tracks: number of tracks.
    """
    files = command.fma_files()
    copies = [shutil.copy(file, folder.parent / file.name) for file in files]
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["uri", "genre"])
        for index in range(tracks):
            name = f"{index:06d}.mp3"
            os.link(copies[index % len(copies)], folder / name)
            rows.writerow([name, f"genre {index % 8}"])


def run(
    data: str,
    place: str,
    scratch: pathlib.Path,
    beam_args: Sequence[str],
    *,
    store: str = "",
    shard_tracks: int = 64,
    **audio: Any,
) -> tuple[int, float]:
    """Run SpectrogramGen's executor; return the tracks that it read, and its seconds.

    Args:
      data: folder or URI of a corpus with a manifest.
      place: folder or URI for the artifacts `examples` and `rejects`.
      scratch: a local folder for TFX.
      beam_args: Beam's flags.
      store: folder of the clip store; "" for none.
      shard_tracks: tracks of a shard.
      **audio: parameters of the audio that differ from the usual ones.
    """
    import unittest.mock

    from tfx.types import standard_artifacts

    from components.artifacts import files
    from components.artifacts.types import Rejects
    from components.audio.duplicates import find_duplicates
    from components.audio.params import AudioParams
    from components.datasets.corpus import load_corpus
    from components.datasets.settings import DatasetSettings, SplitSettings
    from components.spectrogram_gen import executor
    from components.spectrogram_gen.component import SpectrogramGen

    def salted(
        entries: Iterable[tuple[str, str, str]], *further: Any, **named: Any
    ) -> dict[str, str]:
        own = (
            (track_id, path, hashlib.sha256((track_id + fingerprint).encode()).hexdigest()[:16])
            for track_id, path, fingerprint in entries
        )
        return find_duplicates(own, *further, **named)

    begun = time.monotonic()
    dataset = DatasetSettings(kind="manifest", data_dir=data)
    split = SplitSettings(policy="by_track")
    component = SpectrogramGen(
        dataset=dataset,
        split=split,
        audio=AudioParams(**audio),
        manifest_digest=load_corpus(dataset, split).digest,
        shard_tracks=shard_tracks,
        store=store,
    )
    outputs = {"examples": [standard_artifacts.Examples()], "rejects": [Rejects()]}
    for name, (artifact,) in outputs.items():
        artifact.uri = os.path.join(place, name)
    context = executor.Executor.Context(list(beam_args), str(scratch), unique_id="benchmark")
    with unittest.mock.patch.object(executor, "find_duplicates", salted):
        executor.Executor(context).Do({}, outputs, dict(component.spec.exec_properties))
    seconds = time.monotonic() - begun
    summary = files.read_text(os.path.join(place, "rejects", "summary.json"))
    return json.loads(summary)["tracks_read"], seconds
