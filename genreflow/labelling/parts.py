"""One part of a table: which of its rows are kept, and which files are labelled again.

Pure functions of the listing and the earlier rows; a table that grew in many runs, killed ones
among them, has the same bytes as one that was made at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from components.spectrogram_gen.rejects import PASSING
from genreflow.labelling.table import Row

State = tuple[int | None, str]

# Reasons that the listing alone gives, anew in each run.
_BY_LISTING = ("duplicate", "bad_metadata")


@dataclasses.dataclass(frozen=True)
class Listed:
    """File of a catalogue.

    Attributes:
      uri: path or s3:// URI; "" if the catalogue has none.
      track_id: its id; "" if unknown.
      size_bytes: size of the file; None if it is not known yet, or cannot be used.
      file_version: modification time in nanoseconds, or ETag; "" if unknown.
      reason: key of components.datasets.track.REJECT_REASONS if it cannot be used.
      detail: what was found, and what to do.
    """

    uri: str
    track_id: str
    size_bytes: int | None = None
    file_version: str = ""
    reason: str = ""
    detail: str = ""

    @property
    def state(self) -> State:
        return self.size_bytes, self.file_version

    @property
    def order(self) -> tuple[str, str, str, str, str]:
        """The order of a part's files; of those with a uri, a usable one is first."""
        return self.uri, self.track_id, self.reason, self.detail, self.file_version


@dataclasses.dataclass(frozen=True)
class Stamp:
    """Stamp of a run's model on its rows.

    Attributes:
      version, digest: of the model.
      genres: its genres in label order.
      retried: reject reasons whose files are tried again.
    """

    version: str
    digest: str
    genres: tuple[str, ...]
    retried: tuple[str, ...] = (*PASSING, "unreadable")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Plan of a part.

    Attributes:
      kept: rows that are valid as they are.
      rejects: rows of files that cannot be used, by the listing.
      to_label: the other files.
      gone: number of rows whose files are no longer in the catalogue.
    """

    kept: tuple[Row, ...]
    rejects: tuple[Row, ...]
    to_label: tuple[Listed, ...]
    gone: int


def plan_part(
    listed: Iterable[Listed],
    earlier: Sequence[Row],
    finished: Iterable[Row],
    stamp: Stamp,
    own_versions: Mapping[str, Collection[str]],
) -> Plan:
    """Decide what to do for each file of a part.

    Args:
      listed: the part's files, in any order; some may be listed twice.
      earlier: rows of the part's file.
      finished: rows of attempts that were killed.
      stamp: of this run.
      own_versions: versions of files that this program made by writing their tags, by uri. The
        audio is the same as before.

    Returns:
      The plan, with everything in the order of the uris.
    """
    known: dict[tuple[str, str], list[Row]] = {}
    for row in (*earlier, *finished):
        if row.reason not in _BY_LISTING:
            known.setdefault((row.uri, row.track_id), []).append(row)
    kept, rejects, to_label = [], [], []
    present, before = set(), ""
    for file in sorted(set(listed), key=lambda file: file.order):
        present.add(file.uri)
        if file.uri and file.uri == before:
            file = dataclasses.replace(
                file, reason="duplicate", detail="the catalogue lists this file more than once"
            )
        before = file.uri
        rows = known.get((file.uri, file.track_id), ())
        valid = next((row for row in rows if _is_valid(row, file, stamp, own_versions)), None)
        if file.reason:
            rejects.append(reject(file, stamp, file.reason, file.detail))
        elif valid is not None:
            kept.append(
                dataclasses.replace(
                    valid,
                    size_bytes=file.size_bytes,
                    file_version=file.file_version,
                    model_version=stamp.version,
                )
            )
        else:
            to_label.append(file)
    gone = sum(bool(row.uri) and row.uri not in present for row in earlier)
    return Plan(tuple(kept), tuple(rejects), tuple(to_label), gone)


def reject(file: Listed, stamp: Stamp, reason: str, detail: str) -> Row:
    """Return the row of a file that cannot be labelled."""
    return Row(
        uri=file.uri,
        track_id=file.track_id,
        size_bytes=file.size_bytes,
        file_version=file.file_version,
        model_version=stamp.version,
        model_digest=stamp.digest,
        reason=reason,
        detail=detail,
    )


def _is_valid(
    row: Row, file: Listed, stamp: Stamp, own_versions: Mapping[str, Collection[str]]
) -> bool:
    same_file = (row.size_bytes, row.file_version) == file.state
    same_file |= file.file_version in own_versions.get(file.uri, ())
    return same_file and row.model_digest == stamp.digest and row.reason not in stamp.retried
