from __future__ import annotations

import os
import unicodedata

import pytest

from components.common.errors import DatasetError
from components.datasets.track import Track


@pytest.fixture
def manifest(touch):
    """Return a function that writes manifest.csv and the given audio files."""

    def write(text: str, *files: str, at: str = "manifest.csv"):
        for name in files:
            touch(name)
        return touch(at, text.encode("utf-8"))

    return write


def test_all_columns_are_read(manifest, read, tmp_path):
    manifest("uri,genre,track_id,artist_id,split\na/x.wav,Rock,t1,ar1,val\n", "a/x.wav")
    tracks, rejects = read(kind="manifest")
    assert tracks == [Track("t1", str(tmp_path / "a" / "x.wav"), "Rock", "ar1", "validation")]
    assert rejects == []


def test_only_uri_and_genre_are_needed_and_the_id_is_the_path(manifest, read):
    manifest("genre,uri,mood\nRock,a/./x.one.wav,sad\n", "a/x.one.wav")
    tracks, _ = read(kind="manifest")
    assert [(t.track_id, t.artist_id, t.split_hint) for t in tracks] == [("a/x.one", None, None)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("train", "train"),
        ("training", "train"),
        ("Train", "train"),
        ("validation", "validation"),
        ("valid", "validation"),
        ("VAL", "validation"),
        (" test ", "test"),
        ("", None),
    ],
)
def test_the_usual_names_of_splits_are_understood(manifest, read, given, expected):
    manifest(f"uri,genre,split\nx.wav,Rock,{given}\n", "x.wav")
    tracks, _ = read(kind="manifest")
    assert tracks[0].split_hint == expected


def test_an_unknown_split_is_a_reject(manifest, read):
    manifest("uri,genre,split\nx.wav,Rock,devel\ny.wav,Rock,train\n", "x.wav", "y.wav")
    tracks, rejects = read(kind="manifest")
    assert len(tracks) == 1
    assert [(r.track_id, r.reason) for r in rejects] == [("x", "bad_metadata")]
    assert "line 2: split 'devel' is not one of train, training" in rejects[0].detail


@pytest.mark.parametrize("rows", ["x.wav,Rock,t\ny.wav,Pop,t\n", "y.wav,Pop,t\nx.wav,Rock,t\n"])
def test_an_id_used_twice_keeps_the_first_path_in_any_order(manifest, read, rows):
    manifest(f"uri,genre,track_id\n{rows}", "x.wav", "y.wav")
    tracks, rejects = read(kind="manifest")
    assert [track.genre for track in tracks] == ["Rock"]
    assert [(r.genre, r.reason) for r in rejects] == [("Pop", "bad_metadata")]
    assert "x.wav" in rejects[0].detail


@pytest.mark.parametrize("rows", ["x.wav,Rock,t\n./x.wav,Pop,u\n", "./x.wav,Pop,u\nx.wav,Rock,t\n"])
def test_a_file_listed_under_two_ids_keeps_the_smaller_in_any_order(manifest, read, rows):
    """Otherwise one recording could be trained and tested on."""
    manifest(f"uri,genre,track_id\n{rows}", "x.wav")
    tracks, rejects = read(kind="manifest")
    assert [track.track_id for track in tracks] == ["t"]
    assert [(r.track_id, r.reason, r.detail) for r in rejects] == [
        ("u", "bad_metadata", "same file as track t")
    ]


def test_a_uri_may_not_leave_the_data_folder(manifest, read, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.wav"
    outside.write_bytes(b"x")
    manifest(
        f"track_id,uri,genre\n1,{outside},Rock\n2,../{outside.parent.name}/x.wav,Rock\n"
        "3,link.wav,Rock\nok,a/../ok.wav,Rock\n",
        "ok.wav",
    )
    os.symlink(outside, tmp_path / "link.wav")
    tracks, rejects = read(kind="manifest")
    assert [track.track_id for track in tracks] == ["ok"]
    assert [r.reason for r in rejects] == ["outside_root"] * 3
    assert all(str(outside) in r.detail for r in rejects)


def test_a_folder_beside_the_data_folder_with_its_name_as_prefix_is_outside(tmp_path, touch):
    from components.datasets.corpus import read_tracks
    from components.datasets.settings import DatasetSettings

    touch("data-more/x.wav")
    touch("data/manifest.csv", b"uri,genre\n../data-more/x.wav,Rock\n")
    items = list(read_tracks(DatasetSettings(kind="manifest"), str(tmp_path / "data")))
    assert [item.reason for item in items] == ["outside_root"]


def test_an_absolute_uri_inside_the_data_folder_is_fine(manifest, read, tmp_path):
    manifest(f"uri,genre\n{tmp_path}/x.wav,Rock\n", "x.wav")
    tracks, _ = read(kind="manifest")
    assert [track.track_id for track in tracks] == ["x"]


def test_relative_uris_count_from_the_manifests_own_folder(manifest, read):
    manifest("uri,genre\nx.wav,Rock\n", "lists/x.wav", at="lists/m.csv")
    tracks, _ = read(kind="manifest", manifest="lists/m.csv")
    assert [track.track_id for track in tracks] == ["lists/x"]


def test_a_manifest_outside_counts_from_the_data_folder(touch, read, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "m.csv"
    path.write_text("uri,genre\nx.wav,Rock\n")
    touch("x.wav")
    tracks, _ = read(kind="manifest", manifest=str(path))
    assert [track.track_id for track in tracks] == ["x"]


def test_a_data_folder_reached_by_a_link_is_fine(tmp_path, touch):
    from components.datasets.corpus import read_tracks
    from components.datasets.settings import DatasetSettings

    touch("real/manifest.csv", b"uri,genre\nx.wav,Rock\n")
    touch("real/x.wav")
    os.symlink(tmp_path / "real", tmp_path / "link")
    items = list(read_tracks(DatasetSettings(kind="manifest"), str(tmp_path / "link")))
    assert [item.uri for item in items] == [str(tmp_path / "link" / "x.wav")]


def test_rows_that_cannot_be_used_are_rejects(manifest, read):
    manifest(
        "uri,genre\n,Rock\nx.wav\nx.wav,Rock,more\nx.wav,\ns3://bucket/x.wav,Rock\n"
        "nowhere.wav,Rock\nx.wav,Rock\n",
        "x.wav",
    )
    tracks, rejects = read(kind="manifest")
    reasons = [(r.reason, r.detail) for r in rejects]
    assert reasons[0] == ("bad_metadata", "manifest line 2: no uri")
    assert reasons[1] == ("bad_metadata", "manifest line 3 has 1 cells, its header 2")
    assert reasons[2] == ("bad_metadata", "manifest line 4 has 3 cells, its header 2")
    assert reasons[3][0] == "no_genre"
    assert reasons[4][0] == "bad_metadata"
    assert "URLs are not supported" in reasons[4][1]
    assert reasons[5][0] == "missing_file"
    # Line 5 is rejected, so it does not claim the id "x".
    assert [track.track_id for track in tracks] == ["x"]
    assert all(r.uri in ("", "s3://bucket/x.wav") or os.path.isabs(r.uri) for r in rejects)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(touch, read):
    touch("x.wav")
    touch("manifest.csv", b"\xef\xbb\xbfURI,Genre\r\nx.wav,Rock\r\n\r\n")
    tracks, rejects = read(kind="manifest")
    assert [(track.track_id, track.genre) for track in tracks] == [("x", "Rock")]
    assert rejects == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("uri,genre\n", "no tracks; add a row"),
        ("path,genre\nx,Rock\n", "no column 'uri'; found 'path', 'genre'"),
        ("uri;genre\nx;Rock\n", "no column 'uri'; found 'uri;genre' (separated by commas"),
        ("uri,genre,genre\nx,Rock,Pop\n", "two columns 'genre'"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_an_error(manifest, read, tmp_path, content, said):
    manifest(content)
    with pytest.raises(DatasetError) as caught:
        read(kind="manifest")
    assert str(caught.value).startswith(f"{tmp_path}/manifest.csv: ")
    assert said in str(caught.value)


def test_no_manifest_says_where_it_was_looked_for(touch, read, tmp_path):
    touch("x.wav")
    with pytest.raises(DatasetError, match=f"no manifest: {tmp_path}/m.csv does not exist"):
        read(kind="manifest", manifest="m.csv")


def test_a_manifest_in_another_encoding_is_an_error(touch, read):
    touch("manifest.csv", "uri,genre\nx.wav,Électro\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="not UTF-8"):
        read(kind="manifest")


def test_backslashes_are_read_as_slashes_and_noted(manifest, read, notes, tmp_path):
    manifest(
        "uri,genre\nRock\\a.mp3,Rock\n.\\Pop\\b c.mp3,Pop\nPop/d.mp3,Pop\n",
        "Rock/a.mp3", "Pop/b c.mp3", "Pop/d.mp3",
    )  # fmt: skip
    tracks, rejects = read(kind="manifest")
    assert [track.track_id for track in tracks] == ["Rock/a", "Pop/b c", "Pop/d"]
    assert tracks[0].uri == str(tmp_path / "Rock" / "a.mp3")
    assert rejects == []
    assert notes(kind="manifest") == [
        f"{tmp_path}/manifest.csv: the backslashes of 2 paths are read as /"
    ]


def test_a_name_with_a_backslash_is_itself(manifest, read, notes):
    manifest("uri,genre\na\\b.mp3,Rock\n", "a\\b.mp3", "a/b.mp3")
    tracks, _ = read(kind="manifest")
    assert [track.track_id for track in tracks] == ["a\\b"]
    assert notes(kind="manifest") == []


@pytest.mark.parametrize("path", ["C:\\Music\\a.mp3", "Rock\\gone.mp3", "..\\a.mp3"])
def test_backslashes_that_lead_nowhere_are_named(manifest, read, path):
    manifest(f"uri,genre\n{path},Rock\nb.mp3,Rock\n", "b.mp3")
    tracks, rejects = read(kind="manifest")
    assert len(tracks) == 1
    assert [r.reason for r in rejects] == ["missing_file"]
    assert "line 2: no such file; write paths with / and without a drive" in rejects[0].detail


@pytest.mark.parametrize("given", ["NFC", "NFD"])
@pytest.mark.parametrize("there", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_may_be_composed_or_decomposed(manifest, read, given, there):
    folder, name = (
        unicodedata.normalize(form, text)
        for form, text in zip(there, ("Électro", "Björk"), strict=True)
    )
    asked = unicodedata.normalize(given, "Électro\\Björk.mp3")
    manifest(f"uri,genre\n{asked},Rock\n", f"{folder}/{name}.mp3")
    tracks, rejects = read(kind="manifest")
    assert [track.track_id for track in tracks] == [f"{folder}/{name}"]
    assert rejects == []
