"""The [dataset] and [split] tables of the configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le

from components.audio.decoding.limits import DecodeLimits
from components.datasets.registry import READERS

if TYPE_CHECKING:
    from pydantic_core.core_schema import CoreSchema


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Constraint of a string to the keys of a table: a Literal that grows with the table."""

    table: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        """Return the schema by which pydantic validates the string."""
        from pydantic_core import core_schema

        return core_schema.literal_schema(list(self.table))


DatasetKind = Annotated[str, OneOf(READERS)]


@dataclasses.dataclass(frozen=True)
class DatasetSettings:
    """Settings of the dataset.

    Attributes:
      kind: what the data folder holds, and so what reads it.
      data_dir: the dataset's folder, a path or an s3:// URI. --data-dir overrides it.
      fma_subset: subset to read, for kind "fma". "medium" contains "small", and "large"
        contains both.
      manifest: path of the CSV relative to `data_dir`, for kind "manifest".
      synthetic: the audio is synthesised, which all results then say. Kind "synthetic" always is;
        set it for another kind that reads such audio.
      genres: the model's genres in label order; empty for the sorted names found.
      max_tracks: size of a deterministic, genre-balanced subset; 0 for all tracks.
      export_wav: also write WAV files of the clips or of whole tracks. They are 32-bit float
        and decode to exactly the samples that the spectrograms are made from.
      strict: decode every file as a whole, and detect changed files by their contents.
        Otherwise clips are read by seeking, and sizes and times are compared.
      max_reject_fraction: a run stops if a larger share of its tracks cannot be used.
      isolate_decoding: decode in a separate process for each worker. A file that crashes the
        decoder or exceeds a limit is then left out. Otherwise a crash ends the run, and there
        are no limits.
      decode_timeout_seconds: time limit of decoding one track, with `isolate_decoding`.
      decode_memory_mib: memory limit of decoding one track, with `isolate_decoding`.
      clip_seed: seed of the clips' offsets.
    """

    kind: DatasetKind = "fma"
    data_dir: str = ""
    fma_subset: Literal["small", "medium", "large"] = "small"
    manifest: str = "manifest.csv"
    synthetic: bool = False
    genres: tuple[str, ...] = ()
    max_tracks: Annotated[int, Ge(0)] = 0
    export_wav: Literal["none", "clips", "tracks"] = "none"
    strict: bool = False
    max_reject_fraction: Annotated[float, Ge(0), Le(1)] = 0.5
    isolate_decoding: bool = True
    decode_timeout_seconds: Annotated[float, Ge(1), Le(86400)] = DecodeLimits.timeout_seconds
    decode_memory_mib: Annotated[int, Ge(64), Le(1 << 20)] = DecodeLimits.memory_mib
    clip_seed: int = 0

    def __post_init__(self) -> None:
        if len(set(self.genres)) != len(self.genres):
            raise ValueError(f"genres has a name twice: {list(self.genres)}")
        if any(not genre.strip() for genre in self.genres):
            raise ValueError("genres has an empty name")

    @property
    def is_synthetic(self) -> bool:
        """Return whether the audio is synthesised: no result says anything about real music."""
        return self.synthetic or self.kind == "synthetic"

    @property
    def decode_limits(self) -> DecodeLimits | None:
        """The limits for components.audio.decoding.isolation; None without isolation."""
        if not self.isolate_decoding:
            return None
        return DecodeLimits(self.decode_timeout_seconds, self.decode_memory_mib)


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """Settings of the split of tracks into train, validation and test.

    Attributes:
      policy: "by_artist" and "by_track" keep all of an artist's tracks, or of a track's clips, in
        one split; "official" takes the data set's own; "by_clip" leaks on purpose, to reproduce
        the reference study, and its results are marked.
      validation_fraction: share of the tracks for validation.
      test_fraction: share of the tracks for the test.
      seed: seed of the split.
    """

    policy: Literal["official", "by_artist", "by_track", "by_clip"] = "by_artist"
    validation_fraction: Annotated[float, Ge(0.01), Le(0.49)] = 0.1
    test_fraction: Annotated[float, Ge(0.01), Le(0.49)] = 0.1
    seed: int = 0
