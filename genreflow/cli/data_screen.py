"""Findings of `genreflow check-data`, on the screen and as JSON."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from components.datasets.corpus import Corpus, Listing
    from components.datasets.settings import DatasetSettings
    from components.datasets.track import Reject
    from pipeline.display.console import PlainConsole
    from pipeline.prepare.cost import Cost

SHOWN_REJECTS = 5


@dataclasses.dataclass(frozen=True)
class DataReport:
    """Findings about a dataset.

    Attributes:
      dataset: its settings.
      listing: its tracks.
      corpus: the tracks as split; None if they cannot be split.
      unusable: ids of tracks whose files cannot be used.
      rejects: the tracks left out, sorted.
      cost: what a run would cost.
      full: whether files were decoded, and not only headers read.
    """

    dataset: DatasetSettings
    listing: Listing
    corpus: Corpus | None
    unusable: Collection[str]
    rejects: Sequence[Reject]
    cost: Cost
    full: bool

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences for the user; without a corpus, its error has them."""
        return self.corpus.warnings if self.corpus else ()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of usable tracks by genre and split, and of all splits as "all"."""
        from components.datasets.track import SPLITS

        corpus = self.corpus if self.corpus and not self.corpus.leaky else None
        columns = (*(SPLITS if corpus else ()), "all")
        counts = {genre: dict.fromkeys(columns, 0) for genre in self.listing.genres}
        for track in (self.corpus or self.listing).tracks:
            if track.track_id not in self.unusable:
                counts[track.genre]["all"] += 1
                if corpus:
                    counts[track.genre][corpus.split_of_clip(track.track_id, 0)] += 1
        return counts

    def as_json(self, problem: str) -> dict[str, Any]:
        """Return the findings as JSON values; docs/reference/command-line.md lists the keys.

        Args:
          problem: why a run would stop before it starts; "" if it would not.
        """
        counts = self.counts()
        return {
            "data_dir": self.dataset.data_dir,
            "kind": self.dataset.kind,
            "full": self.full,
            "tracks_usable": sum(row["all"] for row in counts.values()),
            "tracks_left_out": len(self.rejects),
            "genres": counts,
            "reasons": dict(collections.Counter(one.reason for one in self.rejects)),
            "left_out": [
                {"track_id": one.track_id, "uri": one.uri, "genre": one.genre,
                 "reason": one.reason, "detail": one.detail}
                for one in self.rejects
            ],
            "warnings": list(self.warnings),
            "cost": dataclasses.asdict(self.cost),
            "problem": problem or None,
        }  # fmt: skip

    def show(self, out: PlainConsole) -> None:
        """Print the findings."""
        from pipeline.prepare.cost import sentences

        out.print(self._table())
        for warning in self.warnings:
            out.say(("warning:", "yellow"), f" {warning}")
        self._show_rejects(out)
        for sentence in sentences(self.cost):
            out.say(sentence)

    def _table(self) -> Table:
        """Return the table of usable tracks by genre, and by split if tracks can be split."""
        from pipeline.display.tables import titled

        counts = self.counts()
        columns = list(next(iter(counts.values()), {"all": 0}))
        table = titled("Tracks that would be read", "genre", *columns, left=("genre",))
        table.min_width = 30
        for genre, row in counts.items():
            table.add_row(genre, *(str(row[column]) for column in columns))
        table.add_section()
        sums = (sum(row[column] for row in counts.values()) for column in columns)
        table.add_row("all", *map(str, sums))
        return table

    def _show_rejects(self, out: PlainConsole) -> None:
        from components.datasets.track import REJECT_REASONS

        by_reason: dict[str, list[Reject]] = collections.defaultdict(list)
        for reject in self.rejects:
            by_reason[reject.reason].append(reject)
        if not self.rejects:
            out.say("nothing would be left out")
        for reason, meaning in REJECT_REASONS.items():
            found = by_reason.get(reason, [])
            if not found:
                continue
            out.say(f"{len(found)} left out, {reason}: {meaning}")
            alike: dict[str, list[Reject]] = collections.defaultdict(list)
            for reject in found:
                alike[reject.detail].append(reject)
            # Some of each kind, so that many of one kind do not hide another.
            each = max(1, SHOWN_REJECTS // len(alike))
            shown = [reject for group in alike.values() for reject in group[:each]][:SHOWN_REJECTS]
            before = ""
            for reject in shown:
                detail = "likewise" if reject.detail == before else reject.detail
                out.say(f"    {reject.track_id}  {reject.uri}" + (f" ({detail})" if detail else ""))
                before = reject.detail
            if len(found) > len(shown):
                out.say(f"    ... and {len(found) - len(shown)} more")
        if not self.full:
            out.say(
                "only headers were read; --full decodes every file, and so finds damage inside "
                "files, silence, channels that cancel, and duplicate audio"
            )
