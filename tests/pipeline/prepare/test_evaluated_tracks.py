"""Tracks of validation and test in the checks before a run: number of clips, and silence."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile

from components.audio.clips import clip_starts
from components.audio.params import AudioParams
from components.datasets.corpus import Corpus, load_corpus
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import Track
from pipeline.prepare import clip_counts
from pipeline.prepare.clip_counts import SONG_SECONDS, corpus_clips, expected_clips, mean_seconds
from pipeline.prepare.survey import survey_files

RATE_HZ = 8000
PARAMS = AudioParams(
    sample_rate_hz=RATE_HZ, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
ALL = AudioParams(**{**PARAMS.to_json(), "evaluation_clips": "all"})


def _noise(path: pathlib.Path, seconds: float) -> Track:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE_HZ))
    soundfile.write(path, samples, RATE_HZ)
    return Track(path.stem, str(path), "Folk")


@pytest.mark.parametrize(
    ("evaluation_clips", "song_seconds", "each"),
    [(None, 60, 4), ("all", 60, 120), ("all", 3600, 300), (30, 60, 30), (30, 5.9, 11), (9, 0.1, 1)],
)
def test_clips_are_counted_by_split(
    evaluation_clips: object, song_seconds: float, each: int
) -> None:
    params = AudioParams(**{**PARAMS.to_json(), "evaluation_clips": evaluation_clips})
    assert expected_clips(100, 10, params, song_seconds) == 400 + 10 * each


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return a corpus of three songs of each of two genres, 10 s each."""
    folder = tmp_path_factory.mktemp("songs")
    for genre in ("Folk", "Rock"):
        for index in range(3):
            _noise(folder / genre / f"{genre}{index}.wav", 10)
    settings = DatasetSettings(kind="folder", data_dir=str(folder))
    return load_corpus(settings, SplitSettings(policy="by_track"))


def test_the_clips_of_a_corpus_follow_from_its_headers(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = [track.track_id for track in corpus.evaluation_tracks]
    assert len(evaluated) == 4
    assert corpus_clips(corpus, ALL, None) == 2 * 4 + 4 * 20
    assert corpus_clips(corpus, ALL, None, left_out=evaluated[:1]) == 2 * 4 + 3 * 20
    monkeypatch.setattr(clip_counts, "mean_seconds", None)  # reads no header
    assert corpus_clips(corpus, PARAMS, None) == 6 * 4


def test_songs_that_cannot_be_opened_and_objects_have_a_usual_length(
    tmp_path: pathlib.Path,
) -> None:
    gone, remote = Track("a", str(tmp_path / "a.wav"), "Folk"), Track("b", "s3://b/b.wav", "Folk")
    assert mean_seconds([gone, remote], None) == SONG_SECONDS
    assert mean_seconds([gone, remote, _noise(tmp_path / "c.wav", 7)], None) == 7.0


def test_a_survey_looks_for_silence_where_a_run_listens(tmp_path: pathlib.Path) -> None:
    samples = np.zeros(60 * RATE_HZ)
    starts = clip_starts(len(samples), 4000, 4, track_id="quiet", seed=0)
    (heard,) = [n * 4000 for n in range(120) if all(abs(n * 4000 - s) > 4000 for s in starts)][:1]
    samples[heard : heard + 4000] = np.random.default_rng(0).normal(0, 0.1, 4000)
    soundfile.write(tmp_path / "quiet.wav", samples, RATE_HZ)
    track = Track("quiet", str(tmp_path / "quiet.wav"), "Folk")
    for evaluated, reasons in (((), ["near_silent"]), ((track,), [])):
        found = survey_files(
            [track],
            ALL,
            full=True,
            clip_seed=0,
            limits=None,
            advance=lambda: None,
            evaluated=evaluated,
            workers=1,
        )
        assert [reject.reason for reject in found.rejects] == reasons
