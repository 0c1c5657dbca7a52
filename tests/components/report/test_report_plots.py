"""Tests of the plots: legible names, names that must not act, and positions."""

from __future__ import annotations

import io
import logging
import struct
import warnings

import librosa
import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from components.audio.params import AudioParams
from components.report import drawing, matrices, plots, spectrograms
from components.report.calibration import reliability
from components.report.drawing import draw, plot_names
from components.report.gallery import ClassCount
from tests.components.report import plausible


def _pixels(png: bytes) -> np.ndarray:
    return image.imread(io.BytesIO(png))[..., :3]


def _texts(png_of: list[str]) -> Figure:
    """Draw these names as tick labels, as the plots do; return the figure."""
    kept: list[Figure] = []

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_yticks(range(len(png_of)), png_of)
        kept.append(figure)

    draw(paint, height=3)
    return kept[0]


@pytest.mark.parametrize("name", ["$x$", "$\\frac{$ $", "a $1$ b $2$", "\\$\\undefined"])
def test_a_dollar_sign_is_no_formula(name: str) -> None:
    (label,) = _texts([name]).axes[0].get_yticklabels()
    assert label.get_text() == name
    assert label.get_parse_math() is False


def test_names_in_plots_are_inert_short_and_different() -> None:
    names = plot_names([*plausible.HOSTILE, "W" * 100 + "2", "", "Rock"])
    assert len(set(names)) == len(names)
    assert all(name.isprintable() and 0 < len(name) <= 16 for name in names)
    assert names[7] == "no. 8"  # letters that the font lacks
    assert names[-2:] == ["no. 12", "Rock"]
    assert plot_names(["Folk", "Hip-Hop"]) == ["Folk", "Hip-Hop"]
    assert plot_names(["A very long name"], max_length=8) == ["A very…"]


def test_no_plot_warns_of_letters_that_it_cannot_draw(caplog: pytest.LogCaptureFixture) -> None:
    counts = np.eye(len(plausible.HOSTILE), dtype=int).tolist()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        made = matrices.confusion("c", "crnn", counts, plausible.HOSTILE, large=True)
    assert made.png.startswith(b"\x89PNG")
    assert caplog.records == []


def test_a_picture_knows_its_size_on_the_page_and_holds_no_time_and_no_program() -> None:
    made = spectrograms.scale(AudioParams())
    width, height = struct.unpack(">II", made.png[16:24])
    assert (made.width, made.height) == (width // 2, height // 2)
    assert b"Software" not in made.png
    assert b"tIME" not in made.png


def test_every_figure_fits_a_phone_without_shrinking_below_four_fifths() -> None:
    classes = [ClassCount(g, {s: 3 for s in ("train", "validation", "test")}, {}) for g in "abc"]
    pictures = [
        plots.counts(classes),
        plots.scree([0.5, 0.2]),
        matrices.confusion("c", "m", [[3, 1], [0, 2]], ["Folk", "Rock"], large=True),
        plots.calibration("k", "m", reliability(np.eye(3), np.arange(3)), large=True),
    ]
    for picture in pictures:
        assert picture.width <= 390 / 0.8, picture.name


def test_a_matrix_colours_shares_of_the_row_and_marks_only_its_cells() -> None:
    few = matrices.confusion("c", "m", [[90, 10], [0, 5]], ["Folk", "Rock"], large=False)
    many = matrices.confusion("c", "m", [[9, 1], [0, 500]], ["Folk", "Rock"], large=False)
    blue = [(_pixels(m.png)[..., 2] - _pixels(m.png)[..., 0] > 0.3).sum() for m in (few, many)]
    # The same shares: the same cells are dark, whatever the digits.
    assert abs(blue[0] - blue[1]) < 0.02 * blue[0]
    assert "95 of 105 tracks" in few.alt


@pytest.mark.parametrize("genres", [2, 16, 40])
def test_a_matrix_of_any_number_of_genres_can_be_drawn(genres: int) -> None:
    names = [f"Genre with a long name {n}" for n in range(genres)]
    counts = np.full((genres, genres), 123).tolist()
    assert matrices.confusion("c", "m", counts, names, large=False).width < 400


def test_the_colours_of_a_spectrogram_are_the_projects_and_high_is_up() -> None:
    params = AudioParams(n_mels=64, clip_seconds=1.0)
    mel = np.full((params.n_mels, params.frames), -80, np.float32)
    mel[-8:] = 0  # the highest bands: yellow
    pixels = _pixels(spectrograms.spectrogram("s", mel, params, "x").png)
    yellow = (pixels[..., 0] > 0.9) & (pixels[..., 1] > 0.85) & (pixels[..., 2] < 0.3)
    violet = (pixels[..., 0] < 0.35) & (pixels[..., 1] < 0.1) & (pixels[..., 2] > 0.25)
    rows = [np.flatnonzero(found.any(axis=1)) for found in (yellow, violet)]
    assert rows[0].max() < rows[1].max()
    assert yellow.sum() / (yellow | violet).sum() == pytest.approx(8 / 64, abs=0.02)


def test_frequencies_lie_where_the_filters_of_the_spectrogram_have_them() -> None:
    params = AudioParams()
    centres = librosa.mel_frequencies(params.n_mels + 2, fmin=0, fmax=params.sample_rate_hz / 2)
    chosen = (10, 64, 127)
    hz = tuple(float(centres[band + 1]) for band in chosen)
    places = spectrograms.band_positions(hz, params)  # type: ignore[arg-type]
    assert places == pytest.approx([band + 0.5 for band in chosen])


def test_colours_of_kinds_are_told_apart_by_shape_too() -> None:
    assert len(set(drawing.KIND_MARKERS.values())) == len(drawing.KIND_COLOURS) == 3
