"""The [storage] table: where artifacts and pushed models go."""

from __future__ import annotations

import dataclasses

from components.storage.uri import place


@dataclasses.dataclass(frozen=True)
class StorageSettings:
    """Where the large things of a run lie; a local folder or an s3:// URI each.

    `pipeline_root`: TFX's artifacts (examples, models, ...); "" is in the work folder.
    `push_destination`: the folder of the served model's versions' parent, under which
    `genreflow/<version>/` appear; "" is `serving_models` in the work folder.
    Metadata, lock, logs, caches, results.json and rejects.csv stay in the work folder.
    """

    pipeline_root: str = ""
    push_destination: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            place(getattr(self, field.name), field.name)
