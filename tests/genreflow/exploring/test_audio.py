"""Audio files that the page may open."""

from __future__ import annotations

import os
import pathlib

import pytest

from genreflow.exploring.audio import AudioFile, SongAudio
from genreflow.exploring.audio_objects import AudioObject
from tests.genreflow.exploring.explored import write_song


@pytest.fixture
def music(tmp_path: pathlib.Path) -> pathlib.Path:
    write_song(tmp_path / "music" / "a.wav")
    return tmp_path / "music"


def test_a_song_in_the_data_folder_is_found_with_its_media_type(music: pathlib.Path) -> None:
    (music / "b.MP3").write_bytes(b"sound")
    audio = SongAudio(str(music))
    assert audio.find(str(music / "a.wav")) == AudioFile(
        str(music / "a.wav"), "audio/wav", (music / "a.wav").stat().st_size
    )
    found = audio.find(str(music / "b.MP3"))
    assert isinstance(found, AudioFile)
    assert found.media_type == "audio/mpeg"


def test_no_file_has_a_media_type_that_a_browser_would_run(music: pathlib.Path) -> None:
    (music / "page.html").write_text("<script>alert(1)</script>")
    found = SongAudio(str(music)).find(str(music / "page.html"))
    assert isinstance(found, AudioFile)
    assert found.media_type == "application/octet-stream"


def test_paths_and_links_that_leave_the_data_folder_are_not_opened(music: pathlib.Path) -> None:
    secret = music.parent / "secret.wav"
    secret.write_bytes(b"secret")
    (music / "link.wav").symlink_to(secret)
    (music / "folder").symlink_to(music.parent)
    audio = SongAudio(str(music))
    for uri in (secret, music / "link.wav", music / "folder" / "secret.wav"):
        assert "leads outside" in str(audio.find(str(uri)))
    assert "leads outside" in str(audio.find(str(music / ".." / "secret.wav")))


def test_moved_empty_and_special_files_have_a_reason(music: pathlib.Path) -> None:
    audio = SongAudio(str(music))
    (music / "empty.wav").touch()
    os.mkfifo(music / "pipe.wav")
    assert "not there any more" in str(audio.find(str(music / "gone.wav")))
    assert "empty" in str(audio.find(str(music / "empty.wav")))
    assert isinstance(audio.find(str(music / "pipe.wav")), str)


def test_only_objects_below_the_data_folder_are_found(music: pathlib.Path) -> None:
    audio = SongAudio("s3://bucket/music")
    assert audio.find("s3://bucket/music/a.flac") == AudioObject(
        "s3://bucket/music/a.flac", "audio/flac"
    )
    for uri in (
        "s3://bucket/a.wav", "s3://bucket/music", "s3://bucket/music2/a.wav",
        "s3://other/music/a.wav", "s3://bucket/music/../a.wav", str(music / "a.wav"),
        "https://bucket/music/a.wav",
    ):  # fmt: skip
        assert "leads outside" in str(audio.find(uri)), uri
    assert "leads outside" in str(SongAudio(str(music)).find("s3://bucket/music/a.wav"))


def test_a_link_made_after_the_first_look_is_not_followed(music: pathlib.Path) -> None:
    audio = SongAudio(str(music))
    assert isinstance(audio.find(str(music / "a.wav")), AudioFile)
    (music / "a.wav").unlink()
    (music / "a.wav").symlink_to("/etc/passwd")
    assert "leads outside" in str(audio.find(str(music / "a.wav")))
