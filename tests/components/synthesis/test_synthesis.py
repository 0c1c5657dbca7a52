"""The synthetic corpus: its bytes, layout, splits, and the folders that it refuses."""

from __future__ import annotations

import csv
import hashlib
import json
import pathlib
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from components.datasets.corpus import read_tracks
from components.datasets.settings import DatasetSettings
from components.datasets.track import Track
from components.synthesis import CorpusError, corpus, write_corpus
from components.synthesis.plan import plan_corpus
from components.synthesis.rhythm import KITS
from components.synthesis.score import SCALES
from components.synthesis.sound import SAMPLE_RATE_HZ, Notes, Timbre, place_hits, render_line
from components.synthesis.styles import GENRE_IDS, LAYERS, STYLES
from components.synthesis.track import (
    generator,
    make_artist,
    make_score,
    synthesize,
    to_file_format,
)

FMA_SMALL = {
    *("Electronic", "Experimental", "Folk", "Hip-Hop"),
    *("Instrumental", "International", "Pop", "Rock"),
}
SECONDS = 3.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """24 tracks of 3 seconds: each genre once in each split."""
    directory = tmp_path_factory.mktemp("synthesis") / "corpus"
    write_corpus(directory, tracks=24, seed=5, track_seconds=SECONDS, workers=2)
    return directory


def digests(directory: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def rows_of(directory: pathlib.Path) -> list[dict[tuple[str, str], str]]:
    with (directory / "fma_metadata" / "tracks.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[2][0] == "track_id"
    names = list(zip(lines[0], lines[1], strict=True))
    return [dict(zip(names, line, strict=True)) for line in lines[3:]]


def test_same_parameters_give_the_same_bytes_whatever_the_number_of_threads(
    small: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    write_corpus(tmp_path / "again", tracks=24, seed=5, track_seconds=SECONDS, workers=1)
    assert digests(tmp_path / "again") == digests(small)


def test_another_seed_gives_other_audio() -> None:
    ours = synthesize(0, "Rock", 3, 7, SECONDS)
    assert np.array_equal(ours, synthesize(0, "Rock", 3, 7, SECONDS))
    for seed, artist, track in ((1, 3, 7), (0, 4, 7), (0, 3, 9)):
        assert not np.array_equal(ours, synthesize(seed, "Rock", artist, track, SECONDS))


def test_layout_is_that_of_fma(small: pathlib.Path) -> None:
    assert {path.name for path in small.iterdir()} == {"corpus.json", "fma_metadata", "fma_small"}
    rows = rows_of(small)
    assert len(rows) == 24
    assert {row["track", "genre_top"] for row in rows} == FMA_SMALL
    assert {row["set", "subset"] for row in rows} == {"small"}
    ids = [int(row["", ""]) for row in rows]
    assert ids == sorted(set(ids))
    expected = {f"{number:06d}"[:3] + f"/{number:06d}.mp3" for number in ids}
    audio = small / "fma_small"
    assert {str(path.relative_to(audio)) for path in audio.rglob("*.mp3")} == expected


def test_header_lines_are_those_of_the_real_tracks_csv(
    small: pathlib.Path, real_data: pathlib.Path
) -> None:
    def header(path: pathlib.Path) -> list[str]:
        with path.open(encoding="utf-8") as file:
            return [next(file).rstrip("\r\n") for _ in range(3)]

    ours = header(small / "fma_metadata" / "tracks.csv")
    assert ours == header(real_data / "fma" / "fma_metadata" / "tracks.csv")


def test_genres_csv_names_every_genre_with_its_number_of_tracks(small: pathlib.Path) -> None:
    with (small / "fma_metadata" / "genres.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["title"]: int(row["genre_id"]) for row in rows} == GENRE_IDS
    assert {row["#tracks"] for row in rows} == {"3"}


def test_the_fma_reader_reads_every_track(small: pathlib.Path) -> None:
    items = list(read_tracks(DatasetSettings(kind="synthetic"), str(small)))
    tracks = [item for item in items if isinstance(item, Track)]
    assert len(tracks) == len(items) == 24
    assert {(track.genre, track.split_hint) for track in tracks} == {
        (genre, split) for genre in FMA_SMALL for split in ("train", "validation", "test")
    }
    assert all(track.artist_id for track in tracks)


def test_audio_decodes_to_its_length_and_does_not_clip(small: pathlib.Path) -> None:
    rates: Counter[int] = Counter()
    for path in (small / "fma_small").rglob("*.mp3"):
        samples, rate_hz = soundfile.read(path, always_2d=True)
        rates[rate_hz] += 1
        assert len(samples) == round(SECONDS * rate_hz)
        assert np.isfinite(samples).all()
        assert 0.05 < np.abs(samples).max() < 1.0
    assert rates[44100] > 24 / 2


def test_a_whole_corpus_mixes_rates_and_channels_alike_in_all_genres() -> None:
    planned = plan_corpus(304, 0)
    assert {track.rate_hz for track in planned} == {22050, 44100, 48000}
    assert {track.channels for track in planned} == {1, 2}
    for genre in FMA_SMALL:
        formats = Counter((t.rate_hz, t.channels) for t in planned if t.genre == genre)
        # 38 tracks: two rounds of 13, 3, 3 and 1, less two tracks.
        for file_format, most in {(44100, 1): 26, (44100, 2): 6, (22050, 1): 6}.items():
            assert most - 2 <= formats[file_format] <= most, genre


@pytest.mark.parametrize(("rate_hz", "channels"), [(22050, 1), (44100, 2), (48000, 2)])
def test_file_format_keeps_length_and_stays_below_full_scale(rate_hz: int, channels: int) -> None:
    mono = np.sin(np.arange(SAMPLE_RATE_HZ) * 0.05).astype(np.float32)
    samples = to_file_format(generator(1), mono, rate_hz, channels)
    assert samples.shape == (rate_hz, channels)
    assert samples.dtype == np.float32


@pytest.mark.parametrize(
    ("tracks", "each"), [(304, (23, 6, 9)), (40, (3, 1, 1)), (32, (2, 1, 1)), (24, (1, 1, 1))]
)
def test_splits_hold_each_genre_in_the_stated_numbers(
    tracks: int, each: tuple[int, int, int]
) -> None:
    counts = Counter((track.genre, track.split) for track in plan_corpus(tracks, 0))
    for genre in FMA_SMALL:
        splits = ("training", "validation", "test")
        assert tuple(counts[genre, split] for split in splits) == each


def test_two_tracks_a_genre_still_fill_every_split() -> None:
    counts = Counter((track.genre, track.split) for track in plan_corpus(16, 0))
    assert all(counts[genre, "training"] == 1 for genre in FMA_SMALL)
    for split in ("validation", "test"):
        assert sum(counts[genre, split] for genre in FMA_SMALL) == 4


@settings(max_examples=40, deadline=None)
@given(tracks=st.integers(16, 400), seed=st.integers(0, 2**40))
def test_any_size_is_balanced_and_no_artist_crosses_genres_or_splits(
    tracks: int, seed: int
) -> None:
    planned = plan_corpus(tracks, seed)
    assert len({track.track_id for track in planned}) == len(planned) == tracks
    per_genre = Counter(track.genre for track in planned)
    assert set(per_genre) == FMA_SMALL
    assert max(per_genre.values()) - min(per_genre.values()) <= 1
    homes = defaultdict(set)
    for track in planned:
        homes[track.artist_id].add((track.genre, track.split))
    assert all(len(home) == 1 for home in homes.values())
    assert {track.split for track in planned} == {"training", "validation", "test"}
    sizes = Counter(Counter(track.artist_id for track in planned).values())
    assert max(sizes) <= 4


def test_artists_of_a_whole_corpus_have_two_to_four_tracks() -> None:
    sizes = Counter(track.artist_id for track in plan_corpus(304, 0)).values()
    assert set(sizes) <= {2, 3, 4}


def test_tempo_ranges_overlap_but_differ() -> None:
    tempos = {
        genre: [
            make_score(generator(n), style, make_artist(0, genre, n), SECONDS).tempo_bpm
            for n in range(60)
        ]
        for genre, style in STYLES.items()
    }
    ranges = {genre: (min(found), max(found)) for genre, found in tempos.items()}
    for genre, (low, high) in ranges.items():
        first, last = STYLES[genre].tempo_bpm
        assert first <= low < high <= last
        others = [other for name, other in ranges.items() if name != genre]
        assert any(other[0] < high and low < other[1] for other in others), genre
    assert np.mean(tempos["Hip-Hop"]) + 20 < np.mean(tempos["Electronic"])
    assert np.mean(tempos["Instrumental"]) + 20 < np.mean(tempos["Rock"])


def test_mean_spectra_of_genres_overlap_but_differ() -> None:
    def centroid_hz(genre: str, number: int) -> float:
        samples = synthesize(0, genre, number, number, SECONDS)
        power = np.abs(np.fft.rfft(samples)) ** 2
        hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
        return float((hertz * power).sum() / power.sum())

    found = {genre: [centroid_hz(genre, n) for n in range(8)] for genre in STYLES}
    for genre, values in found.items():
        rest = np.concatenate([other for name, other in found.items() if name != genre])
        assert rest.min() < np.median(values) < rest.max()
    assert np.median(found["Experimental"]) > 1.5 * np.median(found["Hip-Hop"])


@pytest.mark.parametrize("layer", sorted(LAYERS))
@pytest.mark.parametrize("genre", ["Experimental", "International", "Rock"])
def test_each_layer_sounds_in_any_genre(layer: str, genre: str) -> None:
    score = make_score(generator(layer, genre), STYLES[genre], make_artist(2, genre, 1), SECONDS)
    sound = LAYERS[layer](score)
    assert sound.shape == (score.samples,)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.01


def test_styles_name_layers_and_scales_that_exist() -> None:
    for style in STYLES.values():
        assert {layer.name for layer in style.layers} <= set(LAYERS)
        assert set(style.scales) <= set(SCALES)
    for variants in KITS.values():
        assert all(set(pattern) <= set("xo?.") for kit in variants for pattern in kit)


def test_a_line_sounds_at_its_pitch_and_only_while_a_note_lasts() -> None:
    notes = Notes(np.array([0.5]), np.array([0.5]), np.array([81.0]), np.array([1.0]))
    timbre = Timbre(np.array([1.0]), np.array([0.0]), sustain=1.0)
    line = render_line(notes, timbre, 2 * SAMPLE_RATE_HZ)
    assert np.abs(line[: SAMPLE_RATE_HZ // 2 - 40]).max() == 0
    assert np.abs(line[int(1.1 * SAMPLE_RATE_HZ) :]).max() == 0
    spectrum = np.abs(np.fft.rfft(line))
    hertz = np.fft.rfftfreq(len(line), 1 / SAMPLE_RATE_HZ)
    assert hertz[spectrum.argmax()] == pytest.approx(880.0, abs=1.0)


def test_a_line_without_notes_is_silent() -> None:
    none = np.array([])
    line = render_line(Notes(none, none, none, none), Timbre(np.ones(1), np.ones(1)), 100)
    assert line.shape == (100,)
    assert not line.any()


def test_hits_are_cut_at_both_ends_of_the_track() -> None:
    shot = np.arange(1, 5, dtype=np.float32)
    onsets = np.array([-2, 4, 9, 50]) / SAMPLE_RATE_HZ
    out = place_hits(shot, onsets, np.ones(4), 10)
    assert out.tolist() == [3, 4, 0, 0, 1, 2, 3, 4, 0, 1]


def test_a_complete_corpus_is_left_alone(small: pathlib.Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    calls: list[tuple[int, int]] = []
    write_corpus(
        small,
        tracks=24,
        seed=5,
        track_seconds=SECONDS,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_a_corpus_of_other_parameters_or_with_a_lost_file_is_written_anew(
    tmp_path: pathlib.Path,
) -> None:
    directory = tmp_path / "corpus"
    directory.mkdir()  # an empty folder counts as missing
    calls: list[tuple[int, int]] = []
    write_corpus(directory, tracks=16, track_seconds=3, progress=lambda *c: calls.append(c))
    assert calls == [(done, 16) for done in range(1, 17)]
    first = digests(directory)
    lost = next((directory / "fma_small").rglob("*.mp3"))
    lost.unlink()
    write_corpus(directory, tracks=16, track_seconds=3)
    assert digests(directory) == first
    write_corpus(directory, tracks=16, track_seconds=3, seed=1)
    assert digests(directory) != first
    assert json.loads((directory / "corpus.json").read_text())["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize("content", ["{}", "not json", '{"kind": "something else"}', None])
def test_a_folder_that_is_not_a_corpus_is_refused_and_kept(
    tmp_path: pathlib.Path, content: str | None
) -> None:
    foreign = tmp_path / ("notes.txt" if content is None else "corpus.json")
    foreign.write_text(content or "mine")
    with pytest.raises(CorpusError, match="has no synthetic corpus"):
        write_corpus(tmp_path, tracks=16, track_seconds=3)
    assert [path.name for path in tmp_path.iterdir()] == [foreign.name]
    assert foreign.read_text() == (content or "mine")


def test_files_beside_an_older_corpus_are_never_removed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps({"kind": corpus.KIND, "seed": 0}))
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(CorpusError, match=r"'thesis\.tex'"):
        write_corpus(tmp_path, tracks=16, track_seconds=3)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_file_in_the_way_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "corpus").write_text("mine")
    with pytest.raises(CorpusError, match="not a folder"):
        write_corpus(tmp_path / "corpus", tracks=16, track_seconds=3)


def test_nothing_is_left_when_writing_breaks_off(tmp_path: pathlib.Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "c", tracks=16, track_seconds=3, workers=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"tracks": 15}, "at least 16"),
        ({"track_seconds": 2.9}, "3 to 600"),
        ({"track_seconds": float("nan")}, "3 to 600"),
    ],
)
def test_impossible_parameters_are_named(
    tmp_path: pathlib.Path, parameters: dict[str, float], words: str
) -> None:
    with pytest.raises(CorpusError, match=words):
        write_corpus(tmp_path / "corpus", **parameters)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
