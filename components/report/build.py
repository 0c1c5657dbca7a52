"""Building of the report from the content of a run's artifacts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.audio.clips import ClipChoice
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.common.escape import printable
from components.predictions.table import probability_columns
from components.report import card, gallery, matrices, measures, mistakes, plots, spectrograms
from components.report.calibration import Reliability, reliability
from components.report.drawing import Picture, plot_names
from components.report.gallery import StoredTrack
from components.report.measures import ModelMeasures
from components.report.mistakes import HardTrack
from components.report.page import Page, render
from components.report.sources import Sources

Key = tuple[str, str, int]
"""Key of a clip: split, track id, clip index."""

ReadMels = Callable[[Mapping[Key, str]], Mapping[Key, npt.NDArray[np.float32]]]
"""Reader of spectrograms: clips and their files to float32 `[n_mels, frames]` in dB."""

# With fewer test tracks the intervals are so wide that the page warns.
MIN_TEST_TRACKS = 100


@dataclasses.dataclass(frozen=True)
class BuiltReport:
    """The page as HTML, and its plots as PNG by file name."""

    html: str
    plots: Mapping[str, bytes]


def build(
    sources: Sources, tracks: Sequence[StoredTrack], read_mels: ReadMels, params: AudioParams
) -> BuiltReport:
    """Build the report.

    Args:
      sources: content of the run's artifacts.
      tracks: tracks of the examples (components.report.stored_clips.survey).
      read_mels: reads the few spectrograms that are shown.
      params: audio parameters of the examples.

    Raises:
      DataError: the predictions lack the candidate's test rows, or have tracks that the examples
        lack.
    """
    models = measures.measure(sources.predictions, sources.genres, sources.selection)
    tested = [model for model in models if "test" in model.splits]
    if sources.candidate not in {model.name for model in tested}:
        raise DataError(
            f"the predictions have no test rows of the candidate {sources.candidate}; rerun the "
            "pipeline"
        )
    test = sources.predictions[sources.predictions["split"] == "test"]
    hard = mistakes.hardest_tracks(test, sources.candidate, sources.genres)
    evaluated = ClipChoice.of(params, evaluates=True)
    chosen = gallery.choose(tracks, len(sources.genres))
    classes = gallery.class_counts(tracks, sources.genres)
    calibrations = {
        model.name: _reliability(test[test["model"] == model.name], sources.genres)
        for model in tested
    }
    pictures = [
        plots.accuracies(tested, sources.candidate, 1 / len(sources.genres)),
        plots.counts(classes),
        spectrograms.scale(params),
        *_matrices(tested, sources),
        *_calibrations(calibrations, sources.candidate),
        *(plots.learning_curves(name, run) for name, run in sources.histories.items()),
        *_spectrograms(sources, tracks, hard, chosen, read_mels, params),
    ]
    if sources.baselines:
        pictures.append(plots.scree(sources.baselines["pca"]["explained_variance_ratio"]))
    candidate = next(model for model in models if model.name == sources.candidate)
    page = Page(
        genres=sources.genres,
        plot_key=_plot_key(sources.genres),
        notes=_notes(sources, candidate),
        dataset=card.dataset_name(sources.data),
        decision=sources.decision,
        selection=sources.selection,
        summary=sources.summary,
        drift=sources.drift,
        models=models,
        candidate=candidate,
        scores={
            model.name: measures.genre_scores(model.splits["test"].confusion, sources.genres)
            for model in tested
        },
        pairs=mistakes.confused_pairs(candidate.splits["test"].confusion, sources.genres),
        hard=hard,
        gallery=chosen,
        classes=classes,
        rejects=sources.rejects,
        histories=sources.histories,
        baselines=sources.baselines,
        calibration_errors={name: found.ece for name, found in calibrations.items()},
        card=card.make(
            sources.card,
            sources.data,
            candidate=candidate.name,
            members=list(sources.selection.members.get(candidate.name, ())),
            parameters=candidate.parameters,
            clip_seconds=params.clip_seconds,
            leaky=sources.summary.leaky,
        ),
        audio=params,
        windows=evaluated.clips if evaluated.windows else 0,
        pictures={picture.name: picture for picture in pictures},
    )
    return BuiltReport(render(page), {f"{picture.name}.png": picture.png for picture in pictures})


def _notes(sources: Sources, candidate: ModelMeasures) -> list[str]:
    """Return warnings that come before all numbers."""
    notes = []
    if sources.data["dataset"]["kind"] == "synthetic":
        notes.append(
            "The data is synthetic: made by this program, not recorded. The numbers say nothing "
            "about real music."
        )
    if sources.summary.leaky:
        notes.append(
            "The split leaks: clips of one track lie in training and in test (split.policy = "
            "by_clip). The numbers are too good: they measure how well tracks are recognised, not "
            "genres."
        )
    tracks = candidate.splits["test"].tracks
    if tracks < MIN_TEST_TRACKS:
        notes.append(
            f"There are only {tracks} test tracks: compare models by their intervals, not by the "
            "numbers alone."
        )
    return notes


def _plot_key(genres: Sequence[str]) -> list[tuple[str, str]]:
    """Return names in plots that replace a genre's own, each with the genre."""
    return [
        (shown, genre)
        for shown, genre in zip(plot_names(genres), genres, strict=True)
        if shown != printable(genre) and not shown.endswith("…")
    ]


def _reliability(rows: pd.DataFrame, genres: Sequence[str]) -> Reliability:
    return reliability(rows[probability_columns(genres)].to_numpy(), rows["label"].to_numpy())


def _matrices(tested: Iterable[ModelMeasures], sources: Sources) -> Iterable[Picture]:
    for model in tested:
        yield matrices.confusion(
            f"confusion_{model.name}",
            model.name,
            model.splits["test"].confusion,
            sources.genres,
            large=model.name == sources.candidate,
        )


def _calibrations(found: Mapping[str, Reliability], candidate: str) -> Iterable[Picture]:
    for name, values in found.items():
        yield plots.calibration(f"calibration_{name}", name, values, large=name == candidate)


def _spectrograms(
    sources: Sources,
    tracks: Iterable[StoredTrack],
    hard: Sequence[HardTrack],
    chosen: Sequence[Sequence[StoredTrack]],
    read_mels: ReadMels,
    params: AudioParams,
) -> Iterable[Picture]:
    """Yield the spectrograms of the hardest tracks and of the gallery.

    Their names are hard_01, hard_02, ... and gallery_<label>_1, gallery_<label>_2, ...
    """
    clips: dict[str, tuple[Key, str]] = {
        f"gallery_{label:02d}_{place}": (
            (track.split, track.track_id, track.first_clip),
            track.file,
        )
        for label, of_genre in enumerate(chosen)
        for place, track in enumerate(of_genre, start=1)
    }
    files = {track.track_id: track.file for track in tracks if track.split == "test"}
    for place, one in enumerate(hard, start=1):
        if one.track_id not in files:
            raise DataError(
                f"track {one.track_id} has predictions but no test examples: they are from "
                "different runs; rerun the pipeline"
            )
        key = ("test", one.track_id, one.clip_index)
        clips[f"hard_{place:02d}"] = (key, files[one.track_id])
    mels = read_mels(dict(clips.values()))
    for name, (key, _) in clips.items():
        what = f"clip {key[2]} of track {key[1]}"
        yield spectrograms.spectrogram(name, mels[key], params, what)
