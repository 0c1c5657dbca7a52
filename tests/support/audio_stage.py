"""The audio stage on a small corpus in an object store, by its executor."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile

from components.audio.params import AudioParams
from components.datasets.settings import DatasetSettings, SplitSettings
from pipeline.config.beam import BeamSettings, pipeline_args
from pipeline.config.beam_runners import PortableSettings
from tests.support.beam_services import Service

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
SPLIT = SplitSettings(policy="by_track", validation_fraction=0.2, test_fraction=0.2)
GENRES = ("Folk", "Rock")


def upload_corpus(s3: Any, bucket: str, *, tracks: int = 24) -> DatasetSettings:
    """Put tracks into a bucket, and return the data set's settings. One track is text."""
    for index in range(tracks):
        file = io.BytesIO()
        samples = np.random.default_rng(index).normal(0, 0.1, 12000)
        soundfile.write(file, samples, 8000, format="WAV")
        content = b"words" if index == 5 else file.getvalue()
        key = f"data/{GENRES[index % 2]}/{index:03d}.wav"
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return DatasetSettings(kind="folder", data_dir=f"s3://{bucket}/data", max_reject_fraction=0.5)


def portable_args(service: Service, pool: Service) -> list[str]:
    """Return Beam's flags for workers of a pool."""
    table = PortableSettings(
        endpoint=service.endpoint, environment="external", worker_address=pool.endpoint
    )
    return pipeline_args(BeamSettings(runner="portable", portable=table), tracks=100)


def run_stage(
    dataset: DatasetSettings,
    place: str,
    beam_args: Sequence[str],
    scratch: pathlib.Path,
    *,
    store: str = "",
    shard_tracks: int = 4,
) -> None:
    """Run SpectrogramGen's executor, which writes `examples` and `rejects` at a place.

    Args:
      dataset: settings of the data set.
      place: a folder or s3:// URI.
      beam_args: Beam's flags.
      scratch: a local folder for TFX.
      store: the clip store; "" for none.
      shard_tracks: tracks of a shard.
    """
    from tfx.types import standard_artifacts

    from components.artifacts.types import Rejects
    from components.datasets.corpus import load_corpus
    from components.spectrogram_gen.component import SpectrogramGen
    from components.spectrogram_gen.executor import Executor

    node = SpectrogramGen(
        dataset=dataset,
        split=SPLIT,
        audio=PARAMS,
        manifest_digest=load_corpus(dataset, SPLIT).digest,
        shard_tracks=shard_tracks,
        store=store,
    )
    examples, rejects = standard_artifacts.Examples(), Rejects()
    examples.uri, rejects.uri = f"{place}/examples", f"{place}/rejects"
    context = Executor.Context(list(beam_args), str(scratch), unique_id="1")
    outputs = {"examples": [examples], "rejects": [rejects]}
    Executor(context).Do({}, outputs, dict(node.exec_properties))


def stored_files(s3: Any, place: str) -> dict[str, bytes]:
    """Return the content of all objects below an s3:// URI, by name."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    return {
        item["Key"].removeprefix(f"{prefix}/"): s3.get_object(Bucket=bucket, Key=item["Key"])[
            "Body"
        ].read()
        for item in listed
    }


def local_files(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
