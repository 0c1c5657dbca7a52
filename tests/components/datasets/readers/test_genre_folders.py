"""The kinds "gtzan" and "folder", which have one folder per genre."""

from __future__ import annotations

import os

import pytest

from components.common.errors import DatasetError


def ids(items):
    return [item.track_id for item in items]


class TestGtzan:
    def test_wav_and_au_files_are_tracks_in_sorted_order(self, touch, read, tmp_path):
        for name in ("rock/rock.00001.au", "blues/blues.00001.wav", "blues/blues.00000.WAV"):
            touch(name)
        tracks, rejects = read(kind="gtzan")
        assert ids(tracks) == ["blues/blues.00000", "blues/blues.00001", "rock/rock.00001"]
        assert [track.genre for track in tracks] == ["blues", "blues", "rock"]
        assert tracks[0].uri == str(tmp_path / "blues" / "blues.00000.WAV")
        assert {track.artist_id for track in tracks} == {None}
        assert {track.split_hint for track in tracks} == {None}
        assert rejects == []

    def test_files_at_the_top_and_in_deeper_folders_are_rejects(self, touch, read):
        touch("manifest.csv")
        touch("stray.wav")
        touch("blues/more/blues.00002.wav")
        touch("blues/blues.00001.wav")
        tracks, rejects = read(kind="gtzan")
        assert ids(tracks) == ["blues/blues.00001"]
        assert [(r.track_id, r.genre, r.reason) for r in rejects] == [
            ("stray", "", "no_genre"),
            ("blues/more/blues.00002", "blues", "bad_metadata"),
        ]
        assert 'dataset.kind = "folder" reads them' in rejects[1].detail

    def test_one_folder_too_high_is_an_error_that_says_which_folder_is_meant(
        self, touch, read, tmp_path
    ):
        touch("Data/genres_original/blues/blues.00000.wav")
        with pytest.raises(DatasetError, match="the data folder must hold"):
            read(kind="gtzan")
        touch("Data/genres_original/rock/rock.00000.wav")
        touch("Data/images_original/rock/rock.00000.png")
        with pytest.raises(DatasetError) as caught:
            read(kind="gtzan")
        meant = tmp_path / "Data" / "genres_original"
        assert str(caught.value).endswith(
            f"if 'blues' and 'rock' are genres, name {meant} as the data folder"
        )

    def test_other_audio_is_a_reject_not_silence(self, touch, read):
        touch("blues/blues.00000.wav")
        touch("blues/blues.00001.m4p")
        _, rejects = read(kind="gtzan")
        assert [(r.track_id, r.genre, r.reason) for r in rejects] == [
            ("blues/blues.00001", "blues", "undecodable")
        ]
        assert ".m4p (iTunes purchase with DRM) is not read; " in rejects[0].detail


class TestFolder:
    def test_every_known_extension_is_read_at_any_depth(self, touch, read):
        names = ["Rock/a.mp3", "Rock/z/y/x/b.FLAC", "Rock/z/c.ogg", "Jazz/d.wav", "Jazz/e.au"]
        names += ["Rock/y/f.mp3"]
        for name in names:
            touch(name)
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == [
            "Jazz/d",
            "Jazz/e",
            "Rock/a",
            "Rock/y/f",
            "Rock/z/c",
            "Rock/z/y/x/b",
        ]
        assert [track.genre for track in tracks] == ["Jazz"] * 2 + ["Rock"] * 4
        assert rejects == []

    def test_hidden_files_and_folders_and_other_files_are_passed_over(self, touch, read):
        for name in (
            "Rock/._a.mp3",
            "Rock/.hidden/b.mp3",
            ".git/c.mp3",
            "Rock/cover.jpg",
            "Rock/notes.txt",
            "Rock/a.mp3",
        ):
            touch(name)
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/a"]
        assert rejects == []

    def test_a_song_in_several_formats_is_one_track_with_copies(self, touch, read, tmp_path):
        for name in ("Rock/a.wav", "Rock/a.mp3", "Rock/a.OGG", "Rock/b.mp3", "Jazz/a.mp3"):
            touch(name)
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Jazz/a", "Rock/a", "Rock/b"]
        assert [os.path.relpath(file.uri, tmp_path) for file in tracks[1].files] == [
            "Rock/a.OGG",
            "Rock/a.mp3",
            "Rock/a.wav",
        ]
        assert {file.track_id for file in tracks[1].files} == {"Rock/a"}
        assert tracks[0].copies == tracks[2].copies == ()
        assert rejects == []

    def test_an_unusable_file_holds_no_id(self, touch, read):
        touch("Rock/a.flac", b"")
        touch("Rock/a.m4p")
        touch("Rock/a.mp3")
        tracks, rejects = read(kind="folder")
        assert [(track.track_id, track.copies) for track in tracks] == [("Rock/a", ())]
        assert sorted((r.track_id, r.reason) for r in rejects) == [
            ("Rock/a.flac", "empty_file"),
            ("Rock/a.m4p", "other_format"),
        ]

    def test_a_copy_that_is_the_same_file_is_a_reject(self, touch, read, tmp_path):
        touch("Rock/a.flac")
        os.symlink("a.flac", tmp_path / "Rock" / "a.wav")
        os.symlink("a.flac", tmp_path / "Rock" / "b.flac")
        touch("Rock/b.mp3")
        tracks, rejects = read(kind="folder")
        assert [(track.track_id, track.copies) for track in tracks] == [("Rock/a", ())]
        assert [(r.track_id, r.detail) for r in rejects] == [
            ("Rock/a", "same file as track Rock/a"),
            ("Rock/b", "same file as track Rock/a"),
            ("Rock/b", "the same song in another format is the same file as track Rock/a"),
        ]

    def test_a_folder_named_like_audio_is_a_folder(self, touch, read):
        touch("Rock/album.mp3/a.mp3")
        tracks, _ = read(kind="folder")
        assert ids(tracks) == ["Rock/album.mp3/a"]

    def test_a_link_that_loops_is_one_reject(self, touch, read, tmp_path):
        touch("Rock/deep/a.mp3")
        os.symlink(tmp_path / "Rock", tmp_path / "Rock" / "deep" / "loop")
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/deep/a"]
        assert [(r.track_id, r.reason) for r in rejects] == [("Rock/deep/loop", "bad_metadata")]

    def test_a_link_to_itself_is_a_reject_and_its_neighbours_are_read(self, touch, read, tmp_path):
        touch("Rock/a.mp3")
        os.symlink("b.mp3", tmp_path / "Rock" / "b.mp3")
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/a"]
        assert [(r.track_id, r.reason) for r in rejects] == [("Rock/b", "missing_file")]

    def test_a_genre_folder_that_links_outside_is_a_reject(
        self, touch, read, tmp_path, tmp_path_factory
    ):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "a.mp3").write_bytes(b"x")
        os.symlink(elsewhere, tmp_path / "Pop")
        touch("Rock/a.mp3")
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/a"]
        assert [(r.track_id, r.reason) for r in rejects] == [("Pop", "outside_root")]
        assert str(elsewhere) in rejects[0].detail

    def test_folders_deeper_than_a_path_may_be_long_stop_in_a_reject(self, touch, read, tmp_path):
        touch("Rock/a.mp3")
        # 20 names of 250 characters: more than the 4,096 that a path may have.
        name = "d" * 250
        folder = os.open(tmp_path / "Rock", os.O_RDONLY)
        for _ in range(20):
            os.mkdir(name, dir_fd=folder)
            below = os.open(name, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = below
        os.close(os.open("unreachable.mp3", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        os.close(folder)
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/a"]
        assert [r.reason for r in rejects] == ["missing_file"]
        assert "cannot be read" in rejects[0].detail

    def test_a_name_that_is_no_utf8_is_a_reject_that_can_be_written(self, touch, read, tmp_path):
        touch("Rock/a.mp3")
        with open(os.fsencode(tmp_path / "Rock") + b"/b\xff.mp3", "wb") as out:
            out.write(b"x")
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/a"]
        assert [r.reason for r in rejects] == ["bad_metadata"]
        assert "b\\udcff" in rejects[0].track_id
        for value in (rejects[0].track_id, rejects[0].uri, rejects[0].detail):
            value.encode("utf-8")

    @pytest.mark.parametrize("name", ["Rock/a\nb.mp3", "Rock/\x1b[2Jb.mp3", "R\x07ck/b.mp3"])
    def test_control_characters_in_names_are_rejects(self, touch, read, name):
        touch("Rock/a.mp3")
        touch(name)
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Rock/a"]
        assert [r.reason for r in rejects] == ["bad_metadata"]
        assert "control character" in rejects[0].detail

    def test_no_audio_at_all_is_an_error_that_shows_the_layout(self, touch, read):
        touch("Rock/notes.txt")
        with pytest.raises(DatasetError, match=r"no audio file .*Rock/song\.mp3"):
            read(kind="folder")

    def test_audio_of_no_genre_is_a_reject(self, touch, read):
        for name in ("a.mp3", "b.m4p", "cover.jpg", "Rock/a.mp3", "Jazz/a.mp3"):
            touch(name)
        tracks, rejects = read(kind="folder")
        assert ids(tracks) == ["Jazz/a", "Rock/a"]
        assert [(r.track_id, r.reason) for r in rejects] == [
            ("a", "no_genre"),
            ("b", "no_genre"),
        ]

    def test_a_folder_without_audio_is_no_genre_and_noted(self, touch, notes, tmp_path):
        for name in ("Rock/a.mp3", "Jazz/a.mp3", "covers/a.jpg"):
            touch(name)
        assert notes(kind="folder") == [
            f"{tmp_path}/covers is no genre, as there is no audio in it or below it"
        ]

    def test_one_folder_too_high_is_an_error_that_says_which_folder_is_meant(
        self, touch, read, tmp_path
    ):
        for name in ("music/Rock/x/a.mp3", "music/Jazz/a.m4p", "covers/a.jpg"):
            touch(name)
        with pytest.raises(DatasetError) as caught:
            read(kind="folder")
        assert "'music' is its only folder with audio, so there is only one genre" in str(
            caught.value
        )
        assert f"if 'Jazz' and 'Rock' are genres, name {tmp_path}/music as the data folder" in str(
            caught.value
        )

    def test_audio_at_the_top_only_is_an_error(self, touch, read):
        touch("a.mp3")
        with pytest.raises(DatasetError, match="one sub-folder per genre"):
            read(kind="folder")
