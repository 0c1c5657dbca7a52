from __future__ import annotations

import importlib
import os
import subprocess
import sys
import typing
import unicodedata

import pytest

from components.common.errors import DatasetError
from components.datasets.corpus import read_tracks
from components.datasets.genre_warnings import genre_warnings
from components.datasets.registry import READERS
from components.datasets.settings import DatasetSettings
from components.datasets.text import encodable, printable, problem
from components.datasets.track import REJECT_REASONS, Track
from components.spectrogram_gen.rejects import check_fraction


def test_every_kind_that_can_be_configured_has_a_reader_and_no_other():
    hint = typing.get_type_hints(DatasetSettings, include_extras=True)["kind"]
    assert typing.get_args(hint)[1].table is READERS
    for reader in READERS.values():
        assert callable(importlib.import_module(reader.module).read)


def test_importing_the_corpus_imports_no_reader_and_nothing_heavy():
    code = (
        "import sys, components.datasets.corpus, components.datasets.split.splits, "
        "components.datasets.digest\n"
        "heavy = {'numpy', 'pandas', 'soundfile', 'tensorflow', 'pydantic', "
        "'components.datasets.readers.fma', 'components.datasets.readers.folder'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("kind", sorted(READERS))
@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("absent", "the data folder does not exist"),
        ("empty", "the data folder is empty"),
        ("file", "the data folder is not a folder"),
        ("unset", "give --data-dir, or set dataset.data_dir"),
        ("nul", "cannot be read"),
    ],
)
def test_a_data_folder_that_cannot_be_used_is_an_error_at_the_call(kind, case, said, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    folder = {"unset": "", "nul": "a\0b"}.get(case, str(tmp_path / case))
    with pytest.raises(DatasetError, match=said):
        read_tracks(DatasetSettings(kind=kind), folder)


def test_only_configured_genres_pass_and_their_spelling_is_kept(touch, read):
    decomposed, composed = "E\u0301lectro", "\u00c9lectro"
    touch(f"{decomposed}/a.mp3")
    touch("Rock/a.mp3")
    touch("rock2/a.mp3")
    tracks, rejects = read(kind="folder", genres=("Rock", composed))
    assert [track.genre for track in tracks] == [composed, "Rock"]
    assert [(r.genre, r.reason) for r in rejects] == [("rock2", "unknown_genre")]

    tracks, _ = read(kind="folder", genres=("Rock", decomposed))
    assert [track.genre for track in tracks] == [decomposed, "Rock"]


def test_without_configured_genres_names_are_composed(touch, read):
    touch("E\u0301lectro/a.mp3")
    tracks, _ = read(kind="folder")
    assert [track.genre for track in tracks] == ["\u00c9lectro"]


def test_a_pipe_named_like_audio_is_not_opened(touch, read, tmp_path):
    touch("Rock/a.mp3")
    os.mkfifo(tmp_path / "Rock" / "b.mp3")
    _, rejects = read(kind="folder")
    assert [(r.track_id, r.reason, r.detail) for r in rejects] == [
        ("Rock/b", "missing_file", "not a regular file")
    ]


def test_a_link_to_a_file_inside_is_the_same_file(touch, read, tmp_path):
    touch("Rock/b.mp3")
    os.symlink(tmp_path / "Rock" / "b.mp3", tmp_path / "Rock" / "a.mp3")
    tracks, rejects = read(kind="folder")
    assert [track.track_id for track in tracks] == ["Rock/a"]
    assert [(r.track_id, r.detail) for r in rejects] == [("Rock/b", "same file as track Rock/a")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("genre", "Ro\\nck"),
        ("genre", "\\x1b]0;title\\x07"),
        ("genre", "Rock\u202e"),
        ("genre", "R" * 257),
        ("track_id", "a\\nb"),
        ("track_id", "t" * 4097),
        ("artist_id", "a\\x9b31m"),
        ("artist_id", "a\u2028b"),
        ("artist_id", "a" * 1025),
    ],
)
def test_text_that_would_act_up_elsewhere_is_bad_metadata(touch, read, column, value):
    value = value.replace("\\n", "\n").replace("\\x1b", "\x1b").replace("\\x07", "\x07")
    value = value.replace("\\x9b", "\x9b")
    cells = {"uri": "x.wav", "genre": "Rock", "track_id": "t", "artist_id": "a", column: value}
    text = ",".join(cells) + "\n" + ",".join(f'"{cell}"' for cell in cells.values()) + "\n"
    touch("x.wav")
    touch("manifest.csv", text.encode())
    tracks, rejects = read(kind="manifest")
    assert tracks == []
    assert [r.reason for r in rejects] == ["bad_metadata"]
    assert column.replace("_", " ") in rejects[0].detail
    assert len(rejects[0].track_id) <= 1000


def test_letters_of_any_script_and_emoji_are_fine(touch, read):
    for genre in ("日本", "Rock & Roll", "कव्वाली", "🎷", "R'n'B"):
        touch(f"{genre}/a.mp3")
    tracks, rejects = read(kind="folder")
    assert len(tracks) == 5
    assert rejects == []


def test_every_reject_has_a_reason_from_the_closed_list(touch, read):
    touch("Rock/a.mp3", b"")
    touch("Rock/b.m4p")
    touch("Rock/c\n.mp3")
    touch("Pop/d.mp3")
    _, rejects = read(kind="folder", genres=("Rock", "Jazz"))
    assert len(rejects) == 4
    assert {reject.reason for reject in rejects} <= set(REJECT_REASONS)


def test_folders_are_resolved_once_each_through_every_link(touch, tmp_path):
    """The result is that of os.path.realpath, whatever is cached."""
    from components.datasets.files.local import LocalFiles

    touch("data/a/b/c/x.wav")
    touch("outside/y/x.wav")
    os.symlink(tmp_path / "data" / "a" / "b", tmp_path / "data" / "link")
    os.symlink(tmp_path / "outside", tmp_path / "data" / "a" / "out")
    os.symlink("loop", tmp_path / "data" / "loop")
    os.symlink("../link/c", tmp_path / "data" / "a" / "again")
    os.symlink(tmp_path / "data", tmp_path / "entry")
    names = ["a/b/c", "link/c", "a/out/y", "loop/x", "a/again", "gone/x", ".", "..", "../outside/y"]
    for root in ("data", "entry"):
        files = LocalFiles(str(tmp_path / root))
        for name in [*names, *reversed(names)]:
            uri = files.uri(f"{name}/x.wav")
            assert files.status(uri).identity == os.path.realpath(uri), name


def test_many_nested_folders_are_not_walked_again_for_each_file(tmp_path, monkeypatch):
    from components.datasets.files.local import LocalFiles

    looked = []
    real = os.path.islink
    monkeypatch.setattr(os.path, "islink", lambda path: looked.append(path) or real(path))
    files = LocalFiles(str(tmp_path))
    for depth in range(1, 400):
        files.status(files.uri("d/" * depth + "x.wav"))
    assert len(looked) < 3 * 400


def test_every_reject_names_its_file_by_the_whole_path(touch, read, tmp_path):
    for name in ("Rock/c\n.mp3", "Rock/b.m4p", "Jazz/d.mp3", "Rock/e.mp3"):
        touch(name, b"" if "e." in name else b"x")
    _, rejects = read(kind="folder", genres=("Rock", "Pop"))
    assert sorted(reject.uri for reject in rejects) == sorted(
        str(tmp_path / name) for name in ("Rock/c\n.mp3", "Rock/b.m4p", "Jazz/d.mp3", "Rock/e.mp3")
    )


def test_a_track_that_passes_is_a_track_that_opens(touch, read):
    touch("Rock/a.mp3")
    tracks, _ = read(kind="folder")
    assert isinstance(tracks[0], Track)
    assert os.path.isabs(tracks[0].uri)
    with open(tracks[0].uri, "rb") as stream:
        assert stream.read() == b"x"


def test_printable_shows_what_would_act():
    assert printable("a\x1b[31m\nb\u202ec\udcff") == "a\\x1b[31m\\nb\\u202ec\\udcff"
    assert printable("x" * 50, 10) == "x" * 9 + "…"
    assert printable("Björk 日本") == "Björk 日本"


def test_encodable_leaves_good_text_alone_and_escapes_the_rest():
    assert encodable("a\nb é") == "a\nb é"
    assert encodable("a\udcffb") == "a\\udcffb"


def test_problem_counts_characters_to_the_last():
    assert problem("x" * 10, 10) is None
    assert problem("x" * 11, 10) == "is longer than 10 characters"


def test_files_of_an_excluded_genre_are_excluded_whatever_their_format(touch, read):
    for name in ("Rock/a.mp3", "Jazz/a.mp3", "spoken/a.mp3", "spoken/b.m4p", "Rock/b.m4p"):
        touch(name)
    _, rejects = read(kind="folder", genres=("Jazz", "Rock"))
    assert {(reject.track_id, reject.reason) for reject in rejects} == {
        ("spoken/a", "unknown_genre"),
        ("spoken/b", "unknown_genre"),
        ("Rock/b", "undecodable"),
    }


def test_a_rejects_genre_has_the_spelling_of_its_tracks(touch, read):
    """File systems of macOS decompose names."""
    decomposed = unicodedata.normalize("NFD", "Café")
    for name in ("a.mp3", "b.m4p"):
        touch(f"{decomposed}/{name}")
    (track,), (reject,) = read(kind="folder")
    assert track.genre == reject.genre == "Café"
    assert not list(genre_warnings(["Café"], [reject]))


def test_unread_audio_of_a_folder_that_is_no_split_is_of_no_split(touch, read):
    for name in ("train/Rock/a.mp3", "test/Rock/b.mp3", "extra/Rock/c.m4p", "extra/Rock/d.mp3"):
        touch(name)
    _, rejects = read(kind="split_folders")
    assert {reject.reason for reject in rejects} == {"no_split"}


def test_originals_beside_converted_files_are_no_fault(touch, read):
    for number in range(10):
        touch(f"Rock/{number}.flac")
        touch(f"Rock/{number}.shn")
    tracks, rejects = read(kind="folder")
    assert (len(tracks), len(rejects)) == (10, 10)
    assert rejects[0].detail.startswith("0.flac is read; .shn (Shorten) is not read")
    check_fraction(rejects, 20, max_fraction=0.0)
