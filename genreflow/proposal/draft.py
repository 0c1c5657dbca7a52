"""Draft of a configuration: its files, and what is told about it."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from components.artifacts.files import write_text
from genreflow.proposal.proposal import Proposal
from genreflow.suggested import Typed
from pipeline.prepare.cost import Cost, sentences


@dataclasses.dataclass(frozen=True)
class Draft:
    """Draft of a configuration, before it is written.

    Attributes:
      proposal: what it proposes.
      cost: what a run would cost.
      text: of the configuration.
      manifest: path and text of the CSV of songs that it names; None if it needs none.
    """

    proposal: Proposal
    cost: Cost
    text: str
    manifest: tuple[pathlib.Path, str] | None

    def write(self, target: pathlib.Path) -> None:
        """Write the configuration, and its CSV beside it."""
        if self.manifest:
            write_text(str(self.manifest[0]), self.manifest[1])
        write_text(str(target), self.text)

    def commands(self, target: pathlib.Path) -> list[str]:
        """Return the command lines to type next."""
        return [Typed(str(target)).line(name) for name in ("check-data", "run")]

    def as_json(self, target: pathlib.Path) -> dict[str, Any]:
        """Return it as JSON; docs/reference/command-line.md lists the keys."""
        proposal = self.proposal
        return {
            "config": str(target),
            "manifest": str(self.manifest[0]) if self.manifest else None,
            "data_dir": proposal.dataset.data_dir,
            "kind": proposal.dataset.kind,
            "genres": {name: proposal.counts[name] for name in proposal.corpus.genres},
            "genres_left_out": {name: proposal.counts[name] for name in proposal.unused},
            "split": proposal.split.policy,
            "networks": list(proposal.choice.models),
            "notes": list(proposal.notes),
            "cost": dataclasses.asdict(self.cost),
            "next": self.commands(target),
        }

    def lines(self, target: pathlib.Path) -> list[str]:
        """Return what was found, for the screen."""
        proposal = self.proposal
        songs = sum(proposal.counts.values())
        check, run = self.commands(target)
        return [
            f"{proposal.dataset.data_dir}: {songs} songs of {len(proposal.counts)} genres (kind "
            f'"{proposal.dataset.kind}", as {proposal.detected.why})',
            *(f"left out: {name}, {proposal.counts[name]} songs" for name in proposal.unused[:5]),
            f"split: {proposal.split.policy}",
            *(f"  {note}" for note in proposal.notes),
            f"networks: {', '.join(proposal.choice.models)}: {proposal.choice.why}",
            *sentences(self.cost),
            *([f"written    {self.manifest[0]}"] if self.manifest else []),
            f"written    {target}",
            f"next       {check}",
            f"then       {run}",
        ]
