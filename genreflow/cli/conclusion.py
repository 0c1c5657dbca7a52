"""Last lines of a run: the gate's verdict, where the outputs are, and what to type next."""

from __future__ import annotations

import csv
import dataclasses
import functools
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.artifacts.names import REPORT_HTML
from components.common.durations import duration_text
from components.storage.uri import is_remote, join
from components.versions.folder import complete_versions
from genreflow.suggested import line_of, program
from pipeline.display.results import verdict
from pipeline.results.results_file import FILE_NAME

if TYPE_CHECKING:
    from components.datasets.corpus import Corpus
    from pipeline.display.console import PlainConsole
    from pipeline.places import Places
    from pipeline.results.schema import Results
    from pipeline.work_dir import WorkDir


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """Conclusion of a finished run.

    Attributes:
      results: the run's results.
      work: its work folder.
      places: where its artifacts and models are.
      corpus: its data.
      seconds: how long it took.
    """

    results: Results
    work: WorkDir
    places: Places
    corpus: Corpus
    seconds: float

    @functools.cached_property
    def serving(self) -> str | None:
        """The path or URI of the newest pushed model, of this run or another; None without one."""
        versions = complete_versions(self.places.models)
        return join(self.places.models, versions[-1]) if versions else None

    @property
    def pushed(self) -> str | None:
        """The path or URI of the model that this run pushed; None if it pushed none."""
        version = self.results.pushed_version
        return join(self.places.models, version) if version else None

    def paths(self) -> dict[str, str]:
        """Return the run's outputs by name."""
        work = self.work
        return {
            "report": str(work.report / REPORT_HTML),
            "results": str(work.root / FILE_NAME),
            **({"tuning": str(work.tuning)} if work.tuning.is_dir() else {}),
            "rejects": str(work.rejects),
            "curves": str(work.curves),
            "logs": str(work.logs),
        }

    def commands(self) -> list[str]:
        """Return the command lines to type next; none without a model."""
        if not self.serving or (self.results.gate.blessed and not self.results.pushable):
            return []
        models = self.places.models
        lines = [line_of("predict", self._song(), "--model-dir", models)]
        if not is_remote(models):
            lines.append(line_of("serve", "--model-dir", models))
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return what `show` prints as JSON; docs/reference/command-line.md lists the keys."""
        results = self.results
        test = results.models[results.candidate].test.track_accuracy
        return {
            "run_id": results.run_id,
            "work_dir": str(self.work.root),
            "candidate": results.candidate,
            "test_track_accuracy": {"value": test.value, "low": test.low, "high": test.high},
            "caveats": list(results.caveats),
            "blessed": results.gate.blessed,
            "pushed_version": results.pushed_version,
            "push_refused": results.push_refused,
            "pushed": self.pushed,
            "serving": self.serving,
            **self.paths(),
            "seconds": round(self.seconds, 1),
            "next": self.commands(),
        }

    def show(self, out: PlainConsole) -> None:
        """Print the verdict, the outputs, and what to do next."""
        results = self.results
        for verdict_line in verdict(results):
            out.say(verdict_line)
        if results.test_split_uses > 1:
            luck = (
                f"  {results.test_split_uses} candidates of this work folder were evaluated on "
                "these test tracks: choose models by validation, as the best of many on the test "
                "tracks may only be the luckiest"
            )
            out.say((luck, "dim"))
        for name, text in self._lines():
            out.say(f"{name:<10} {text}")

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Yield what each line is about, and its text."""
        if self.pushed:
            yield "pushed", self.pushed
        elif self.serving:
            yield "pushed", f"nothing; {self.serving} stays"
        else:
            yield "pushed", "nothing, and no model was pushed before"
        notes = {"rejects": "left out"}
        for name, path in self.paths().items():
            if name == "tuning":
                path += ": tables and plots of all trials"
            elif name == "curves":
                path += f", or {shlex.join([program('tensorboard'), '--logdir', path])}"
            yield notes.get(name, name), path
        explore = line_of("explore", "--work-dir", str(self.work.root))
        yield "songs", f"{explore}: listen to them, and mend wrong labels"
        yield "took", duration_text(self.seconds)
        commands = self.commands()
        for name, command in zip(("next", "or"), commands, strict=False):
            yield name, command
        if commands:
            return
        if self.results.push_refused:
            yield "next", "change what made the model bad (data, settings), and run again"
        elif self.results.gate.blessed and not self.results.pushable:
            yield (
                "next",
                "the model is good enough, but its files or its server failed: see the reason "
                "above and the log, fix it, and run again",
            )
        else:
            yield (
                "next",
                "see in the report which genres are rare or hard, train longer "
                "(--set training.epochs=...), or relax [gate] if this model is good enough",
            )

    def _song(self) -> str:
        """Return the path of a track to try the model on, of the test split if there is one."""
        corpus = self.corpus
        with self.work.rejects.open(encoding="utf-8", newline="") as file:
            rejected = {row["track_id"] for row in csv.DictReader(file)}
        usable = [track for track in corpus.tracks if track.track_id not in rejected]
        tests = [
            t for t in usable if not corpus.leaky and corpus.split_of_clip(t.track_id, 0) == "test"
        ]
        return min(tests or usable).uri
