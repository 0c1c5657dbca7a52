"""The [dataset] and [split] tables: which tracks there are and how they are split."""

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
    """Which dataset is read.

    `genres`: the model's genres in label order; empty means the sorted names found.
    `data_dir`: the dataset's root, a path or an s3:// URI; the command line's --data-dir
    replaces it.
    `fma_subset`: of kind "fma"; medium contains small, large contains both.
    `manifest`: of kind "manifest": the CSV's path, relative to `data_dir`.
    `strict`: decode every file as a whole, and notice changed files by their contents;
    otherwise clips are sought and sizes and times are compared. `clip_seed`: seeds the
    clips' offsets. `max_tracks`: 0 for all; otherwise a deterministic, genre-balanced subset.
    `max_reject_fraction`: a run stops when a larger share of its tracks cannot be used.
    `isolate_decoding`: decode in a process beside each worker, so that a file which crashes
    the decoder, hangs it (longer than `decode_timeout_seconds`) or takes more than
    `decode_memory_mib` is left out; otherwise it ends the run, and there are no limits.
    `export_wav`: also write WAV files of the clips or of whole tracks, as 32-bit
    float, so that they decode to the very samples the spectrograms came from.
    """

    kind: DatasetKind = "fma"
    data_dir: str = ""
    fma_subset: Literal["small", "medium", "large"] = "small"
    manifest: str = "manifest.csv"
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
            raise ValueError(f"genres holds a name twice: {list(self.genres)}")
        if any(not genre.strip() for genre in self.genres):
            raise ValueError("genres holds an empty name")

    @property
    def decode_limits(self) -> DecodeLimits | None:
        """For components.audio.decoding.isolation; None where decoding is not isolated."""
        if not self.isolate_decoding:
            return None
        return DecodeLimits(self.decode_timeout_seconds, self.decode_memory_mib)


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """How tracks are split, before any clip is cut."""

    policy: Literal["official", "by_artist", "by_track", "by_clip"] = "by_artist"
    validation_fraction: Annotated[float, Ge(0.01), Le(0.49)] = 0.1
    test_fraction: Annotated[float, Ge(0.01), Le(0.49)] = 0.1
    seed: int = 0
