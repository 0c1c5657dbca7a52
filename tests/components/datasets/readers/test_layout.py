"""Folders of splits: recognised by the kind "folder", and read by the kind "split_folders"."""

from __future__ import annotations

import pytest

from components.common.errors import DatasetError
from components.datasets.corpus import load_corpus
from components.datasets.settings import DatasetSettings, SplitSettings

OFFICIAL = SplitSettings(policy="official", validation_fraction=0.25)


def refusal(read, kind="folder", **settings):
    with pytest.raises(DatasetError) as caught:
        read(kind=kind, **settings)
    return str(caught.value)


class TestRecognition:
    @pytest.mark.parametrize("kind", ["folder", "gtzan"])
    @pytest.mark.parametrize(
        "splits",
        [("train", "test"), ("TRAIN", "Valid"), ("training", "validation", "testing"),
         ("Train", "dev", "test"), ("train", "val"), ("train", "test", "Extra")],
    )  # fmt: skip
    def test_splits_on_top_stop_with_the_settings_that_read_them(self, touch, read, kind, splits):
        for split in splits:
            touch(f"{split}/Rock/{split}.wav")
            touch(f"{split}/Jazz/{split}.wav")
        text = refusal(read, kind)
        assert "'" + splits[0] + "'" in text
        assert "are no genre but splits" in text
        assert "--set dataset.kind=split_folders --set split.policy=official" in text

    @pytest.mark.parametrize("other", ["more/Rock/b.wav", "rock/b.wav"])
    def test_one_split_beside_folders_with_the_same_names_is_recognised(self, touch, read, other):
        touch("test/Rock/a.wav")
        touch(other)
        touch("Jazz/c.wav")
        assert "'test' in it is no genre but a split" in refusal(read)

    def test_splits_without_genre_folders_are_sent_to_a_manifest(self, touch, read):
        touch("train/a.wav")
        touch("test/b.wav")
        assert 'dataset.kind = "manifest"' in refusal(read)

    def test_one_genre_of_such_a_name_is_a_genre(self, touch, read):
        touch("Test/a.wav")
        touch("Rock/b.wav")
        tracks, _ = read(kind="folder")
        assert [track.genre for track in tracks] == ["Rock", "Test"]

    def test_genres_that_are_named_in_the_settings_are_genres(self, touch, read):
        touch("train/a.wav")
        touch("test/b.wav")
        tracks, _ = read(kind="folder", genres=("train", "test"))
        assert [track.genre for track in tracks] == ["test", "train"]

    def test_splits_inside_of_genres_are_noted(self, touch, notes, tmp_path):
        for name in ("Rock/train/a.mp3", "Rock/test/b.mp3", "Jazz/live/c.mp3"):
            touch(name)
        (note,) = notes(kind="folder")
        assert note.startswith(f"{tmp_path}/Rock: its folders 'test' and 'train' are read as one")


class TestSplitFolders:
    def test_the_top_folder_is_the_split_and_the_next_one_the_genre(self, touch, read):
        for name in ("Train/Rock/a.mp3", "Train/Rock/live/b.FLAC", "valid/Rock/a.mp3",
                     "test/Jazz/a.wav", "Train/._c.mp3", "notes.txt"):  # fmt: skip
            touch(name)
        tracks, rejects = read(kind="split_folders")
        assert [(t.track_id, t.genre, t.split_hint) for t in tracks] == [
            ("Train/Rock/a", "Rock", "train"),
            ("Train/Rock/live/b", "Rock", "train"),
            ("test/Jazz/a", "Jazz", "test"),
            ("valid/Rock/a", "Rock", "validation"),
        ]
        assert rejects == []

    def test_audio_outside_of_splits_or_genres_is_a_reject(self, touch, read):
        for name in ("train/Rock/a.mp3", "train/b.mp3", "c.mp3", "extra/Rock/d.mp3",
                     "train/Rock/e.m4p"):  # fmt: skip
            touch(name)
        tracks, rejects = read(kind="split_folders")
        assert [track.track_id for track in tracks] == ["train/Rock/a"]
        assert sorted((r.track_id, r.genre, r.reason) for r in rejects) == [
            ("c", "", "no_genre"),
            ("extra/Rock/d", "", "no_split"),
            ("train/Rock/e", "Rock", "undecodable"),
            ("train/b", "", "no_genre"),
        ]

    def test_without_splits_the_layout_is_shown(self, touch, read):
        touch("Rock/a.mp3")
        assert "such as train/Rock/song.mp3" in refusal(read, "split_folders")

    def test_one_folder_too_high_is_an_error_that_says_which_folder_is_meant(
        self, touch, read, tmp_path
    ):
        touch("music/train/Rock/a.mp3")
        text = refusal(read, "split_folders")
        assert text.endswith(f"name {tmp_path}/music as the data folder")

    def corpus(self, tmp_path, split=OFFICIAL):
        dataset = DatasetSettings(kind="split_folders", data_dir=str(tmp_path))
        return load_corpus(dataset, split)

    def test_its_own_split_is_kept(self, touch, tmp_path):
        for split in ("train", "dev", "test"):
            for genre in ("Rock", "Jazz"):
                touch(f"{split}/{genre}/a.mp3")
        splits = self.corpus(tmp_path).splits.split_of
        assert splits == {
            f"{folder}/{genre}/a": split
            for folder, split in (("train", "train"), ("dev", "validation"), ("test", "test"))
            for genre in ("Rock", "Jazz")
        }

    def test_a_validation_that_it_lacks_is_made_of_training_tracks(self, touch, tmp_path):
        for genre in ("Rock", "Jazz"):
            for index in range(8):
                touch(f"train/{genre}/{index}.mp3")
            touch(f"test/{genre}/a.mp3")
        corpus = self.corpus(tmp_path)
        chosen = [i for i, split in corpus.splits.split_of.items() if split == "validation"]
        assert len(chosen) == 4  # a quarter of eight of each genre
        assert all(track_id.startswith("train/") for track_id in chosen)
        assert {track_id.split("/")[1] for track_id in chosen} == {"Rock", "Jazz"}
        assert {i for i, split in corpus.splits.split_of.items() if split == "test"} == {
            "test/Rock/a",
            "test/Jazz/a",
        }
        assert corpus.warnings == (
            "the official split has no validation, so 4 of its 16 training tracks are used for it "
            "(split.validation_fraction)",
        )

    def test_a_validation_whose_files_are_all_unusable_is_an_error(self, touch, tmp_path):
        for genre in ("Rock", "Jazz"):
            for split in ("train", "test"):
                touch(f"{split}/{genre}/a.mp3")
            touch(f"valid/{genre}/a.mp3", b"")
        with pytest.raises(DatasetError, match="no usable track in validation"):
            self.corpus(tmp_path)

    def test_another_policy_splits_all_tracks_anew(self, touch, tmp_path):
        for genre in ("Rock", "Jazz"):
            for index in range(8):
                touch(f"train/{genre}/{index}.mp3")
            touch(f"test/{genre}/a.mp3")
        corpus = self.corpus(tmp_path, SplitSettings(policy="by_track"))
        assert set(corpus.splits.split_of.values()) == {"train", "validation", "test"}
        assert len(corpus.tracks) == 18
