"""Settings of the [storage] table."""

from __future__ import annotations

import dataclasses

from components.storage.uri import place


@dataclasses.dataclass(frozen=True)
class StorageSettings:
    """Places of a run's large output, each a local folder or an s3:// URI.

    Metadata, lock, logs, caches, results.json and rejects.csv stay in the work folder.

    Attributes:
      pipeline_root: TFX's artifacts (examples, models, ...); "" is in the work folder.
      push_destination: pushed models, as `genreflow/<version>/`; "" is `serving_models` in the
        work folder.
    """

    pipeline_root: str = ""
    push_destination: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            place(getattr(self, field.name), field.name)
