"""A data folder that is above the genres, in every layout that the kind "folder" reads."""

from __future__ import annotations

import pytest

from components.common.errors import DatasetError
from components.datasets.genre_names import is_genre_name
from components.datasets.readers.level import AudioFolders
from components.datasets.track import Track

ARTISTS = ("Nina Simone", "Miles Davis", "Chet Baker")


def refusal(read, kind="folder", **settings):
    with pytest.raises(DatasetError) as caught:
        read(kind=kind, **settings)
    return str(caught.value)


@pytest.fixture
def fill(touch):
    """Return a function that puts a song into each of the folders."""

    def make(*folders):
        for folder in folders:
            touch(f"{folder}/song.wav")

    return make


def genres_in(folder, *names):
    return [f"{folder}/{name}" for name in names or ("blues", "Hip-Hop", "metal")]


@pytest.mark.parametrize("name", ["Rock", "hip hop", "HIPHOP", "Drum & Bass", "lo_fi"])
def test_names_of_genres_are_known_in_any_spelling(name):
    assert is_genre_name(name)


@pytest.mark.parametrize("name", ["", "gtzan", "music", "Nina Simone", "000", "Daft Punk", "-"])
def test_other_names_are_no_genres(name):
    assert not is_genre_name(name)


class TestRefused:
    def test_data_sets_side_by_side(self, fill, read, tmp_path):
        fill(*genres_in("gtzan"), *genres_in("mine/genres"))
        text = refusal(read)
        assert text == (
            f"{tmp_path}: 'gtzan' and 'mine' in it would be the genres, but the folders in "
            "'gtzan' have names of genres ('Hip-Hop', 'blues' and 'metal'); name "
            f"{tmp_path}/gtzan or {tmp_path}/mine/genres as the data folder, or list all files in "
            "a CSV (dataset.kind = \"manifest\"); if 'gtzan' and 'mine' are genres, list all "
            "genres in dataset.genres"
        )

    def test_the_folder_of_one_genre(self, touch, read, tmp_path):
        assert "if " not in refusal(read)
        touch("song.wav")
        hint = f"; if {tmp_path.name!r} is a genre, name {tmp_path.parent} as the data folder"
        assert refusal(read).endswith(f"one sub-folder per genre, such as Rock/song.mp3{hint}")

    def test_a_folder_of_genres_beside_others(self, fill, read, tmp_path):
        fill(*genres_in("genres"), "new/unsorted", "podcasts")
        assert f"; name {tmp_path}/genres as the data folder; if " in refusal(read)

    def test_genres_several_levels_down(self, fill, read, tmp_path):
        fill(*genres_in("work/data/gtzan/genres_original"), "work/out", "tests/tones", "voice")
        assert f"name {tmp_path}/work/data/gtzan/genres_original as" in refusal(read)

    def test_artists_in_the_genres_below(self, fill, read, tmp_path):
        fill(*genres_in("a", *(f"Rock/{name}" for name in ARTISTS), "Jazz/X"), "b/c")
        assert f"name {tmp_path}/a as the data folder" in refusal(read)

    def test_fma_beside_others(self, touch, fill, read, tmp_path):
        touch("fma/fma_metadata/tracks.csv")
        fill("fma/fma_small/000", "fma/fma_small/001", "mine/x")
        text = refusal(read)
        assert "'fma' in it is no genre but the data set FMA" in text
        assert f"name {tmp_path}/fma as the data folder, with --set dataset.kind=fma" in text

    def test_one_folder_that_holds_data_sets_names_the_genres(self, fill, read, tmp_path):
        fill(*genres_in("data/gtzan"), *genres_in("data/mine"))
        text = refusal(read)
        assert "'data' is its only folder with audio" in text
        assert f"name {tmp_path}/data/gtzan or {tmp_path}/data/mine as the data folder" in text

    def test_gtzans_kind_names_the_folder_too(self, fill, read, tmp_path):
        fill(*genres_in("gtzan"), "more/x")
        assert f"name {tmp_path}/gtzan as the data folder" in refusal(read, "gtzan")


class TestRead:
    """Layouts that may be meant as they are: none is refused."""

    @pytest.mark.parametrize(
        "folders",
        [
            pytest.param([f"Rock/{n}" for n in ARTISTS] + ["Jazz/x/y"], id="artists in genres"),
            pytest.param(["Rock/Punk", "Rock/Metal", "Jazz/Swing"], id="styles in genres"),
            pytest.param(["Rock/Collections/Punk", "Rock/Collections/Ska", "Jazz"], id="deeper"),
            pytest.param(["Rock/Dream", "Rock/Pop", "Schlager"], id="a genre of few names"),
            pytest.param(["lofi beats", "phonk", "hyperpop"], id="genres of unusual names"),
            pytest.param(["phonk/Kordhell/album", "hyperpop"], id="songs in one of them"),
            pytest.param(
                ["phonk"] + [f"hyperpop/{n}" for n in (*ARTISTS, "Soul", "Bass")],
                id="artists with names of genres",
            ),
        ],
    )
    def test_without_a_word(self, fill, notes, folders):
        fill(*folders)
        assert notes(kind="folder") == []

    def test_genres_beside_a_folder_of_genres_are_noted(self, fill, notes, tmp_path):
        fill("Rock", "Jazz", *genres_in("old/genres"))
        assert notes(kind="folder") == [
            f"{tmp_path}/old/genres: its folders 'Hip-Hop', 'blues' and 'metal' are read as one "
            f"genre, 'old'; if they are genres, name {tmp_path}/old/genres as the data folder"
        ]

    def test_unusual_names_on_all_levels_are_noted(self, fill, notes, tmp_path):
        fill("one/phonk", "one/hyperpop", "two/phonk", "two/hyperpop")
        (note,) = notes(kind="folder")
        assert note.startswith(f"{tmp_path}: 'one' and 'two' are taken for genres, and ")
        assert note.endswith(
            f"if 'hyperpop' and 'phonk' in 'one' are genres, name {tmp_path}/one as the data folder"
        )

    def test_genres_that_the_user_has_named_are_not_in_doubt(self, fill, read, notes):
        fill(*genres_in("gtzan"), *genres_in("mine"))
        tracks, _ = read(kind="folder", genres=("gtzan", "mine"))
        assert {track.genre for track in tracks} == {"gtzan", "mine"}
        assert notes(kind="folder", genres=("gtzan", "mine")) == []


def test_folders_may_be_as_deep_as_a_path_is_long():
    found = AudioFolders()
    paths = [
        "/".join([top, *["a"] * 2000, genre, "x"]) for top in "ab" for genre in ("Rock", "Pop")
    ]
    list(found.noting(Track(path, f"/data/{path}.wav", "a") for path in paths))
    assert list(found.of_genres()) == ["/".join([top, *["a"] * 2000]) for top in "ab"]
