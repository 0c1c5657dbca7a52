"""Record of a pushed version, stored with it: its one writer and its one reader.

The file lies in the version's folder, so it travels with the version: a folder that was copied to
another place still tells when it was pushed, from which run, how accurate it was on test, and why
the gate let it pass.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Annotated, Literal

from annotated_types import Ge

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.common.errors import DataError
from components.common.model_contract import VERSION_RECORD
from components.common.model_evaluation import ModelEvaluation, ToldRule
from components.gate.outcome import Decision
from components.predictions.split_metrics import SplitMetrics
from components.serving_check.outcome import ServingCheckResult
from components.storage.errors import ObjectMissing
from components.storage.uri import join

# A confusion matrix of a hundred genres is a tenth of it.
MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Rollback:
    """Reason for a version that is a copy of an earlier one.

    Attributes:
      copy_of: Version whose files these are; the first of them if that was a copy, too.
      rolled_back_from: Version that served before the rollback.
      at: Time of the rollback, ISO 8601 in UTC.
    """

    copy_of: Annotated[int, Ge(0)]
    rolled_back_from: Annotated[int, Ge(0)]
    at: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """Facts about a pushed version.

    Attributes:
      schema_version: Version of this schema.
      version: Its number, which is its folder's name.
      pushed_at: Time of the push, ISO 8601 in UTC; for a copy that of the original.
      run_id: Run that pushed it, as in results.json; "" if unknown.
      model: Name of the network or ensemble; "" if unknown.
      digest: Its `model_digest`; "" if unknown.
      test: Metrics on the run's test split; None if unknown.
      gate: The gate's decision; None if unknown.
      serving_check: Test on a server before the push; None if it was disabled or is unknown.
      rollback: None for a version that is no copy of an earlier one.
    """

    schema_version: Literal[1] = 1
    version: Annotated[int, Ge(0)]
    pushed_at: str
    run_id: str = ""
    model: str = ""
    digest: str = ""
    test: SplitMetrics | None = None
    gate: Decision | None = None
    serving_check: ServingCheckResult | None = None
    rollback: Rollback | None = None

    @property
    def origin(self) -> int:
        """Version that was pushed with these files: its own number, unless it is a copy."""
        return self.rollback.copy_of if self.rollback else self.version

    @property
    def evaluation(self) -> ModelEvaluation | None:
        """The facts that the model itself tells; None if any is unknown."""
        if self.test is None or self.gate is None:
            return None
        found = self.test.track_accuracy
        rules = (ToldRule(rule.id, rule.outcome, rule.text) for rule in self.gate.rules)
        return ModelEvaluation(
            found.value, found.low, found.high, self.test.tracks, self.gate.blessed, tuple(rules)
        )

    def to_text(self) -> str:
        """Return the file's content."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)


def read_record(version: str) -> VersionRecord | None:
    """Return the record of a pushed version, or None if it has none.

    Genreflow before this file existed, and other programs, push versions without a record.

    Args:
      version: the version's folder; a path or an s3:// URI.

    Raises:
      DataError: the file is damaged, or of another version of Genreflow.
      StorageError: the object store cannot be read.
    """
    path = join(version, VERSION_RECORD)
    try:
        content = artifact_files.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError, ObjectMissing):
        return None
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        return typed_json.parse(VersionRecord, json.loads(content))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: damaged, or of another version of Genreflow ({str(error)[:200]}); delete "
            "this file to use the version without its record"
        ) from error


def utc(seconds: float) -> str:
    """Return a time since 1970 as ISO 8601 in UTC, such as "2026-11-30T19:45:00Z"."""
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")
