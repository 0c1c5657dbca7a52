from __future__ import annotations

import dataclasses
import os

import pytest

from components.audio.decoding import formats
from components.datasets.digest import manifest_digest
from components.datasets.track import Track


@pytest.fixture
def dataset(tmp_path):
    """Write two tracks and return (tracks, split_of, data folder)."""
    root = tmp_path / "data"
    root.mkdir()
    tracks = []
    for name, genre in (("a", "Rock"), ("b", "Pop")):
        path = root / f"{name}.wav"
        path.write_bytes(name.encode() * 10)
        os.utime(path, ns=(10**18, 10**18))
        tracks.append(Track(name, str(path), genre, "artist"))
    return tracks, {"a": "train", "b": "test"}, str(root)


def digest(dataset, *, genres=("Pop", "Rock"), strict=False):
    tracks, split_of, root = dataset
    return manifest_digest(tracks, split_of, data_dir=root, genres=genres, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_the_same_dataset_in_another_order_has_the_same_digest(dataset, strict):
    tracks, split_of, root = dataset
    first = digest(dataset, strict=strict)
    assert digest((tracks[::-1], dict(reversed(split_of.items())), root), strict=strict) == first
    assert len(first) == 64


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {"track_id": "c"},
        {"genre": "Pop"},
        {"artist_id": None},
        {"artist_id": "None"},
    ],
)
def test_every_field_that_examples_carry_counts(dataset, change, strict):
    tracks, split_of, root = dataset
    changed = dataclasses.replace(tracks[0], **change)
    splits = {**split_of, changed.track_id: "train"}
    other = ([changed, tracks[1]], splits, root)
    assert digest(other, strict=strict) != digest(dataset, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_split_genre_order_and_one_track_less_count(dataset, strict):
    tracks, split_of, root = dataset
    seen = {
        digest(dataset, strict=strict),
        digest((tracks, {**split_of, "a": "validation"}, root), strict=strict),
        digest((tracks, {"b": "test"}, root), strict=strict),
        digest((tracks[:1], split_of, root), strict=strict),
        digest(dataset, genres=("Rock", "Pop"), strict=strict),
    }
    assert len(seen) == 5


def test_modification_time_and_size_count_when_not_strict(dataset):
    tracks, _, _ = dataset
    before = digest(dataset)
    os.utime(tracks[0].uri, ns=(10**18, 10**18 + 1))
    touched = digest(dataset)
    with open(tracks[0].uri, "ab") as out:
        out.write(b"more")
    os.utime(tracks[0].uri, ns=(10**18, 10**18 + 1))
    assert len({before, touched, digest(dataset)}) == 3


def test_strict_sees_contents_and_nothing_but_contents(dataset):
    tracks, _, _ = dataset
    strict, loose = digest(dataset, strict=True), digest(dataset)
    os.utime(tracks[0].uri, ns=(1, 1))
    assert digest(dataset, strict=True) == strict
    # Other bytes with the same size and time are noticed only with strict.
    with open(tracks[0].uri, "wb") as out:
        out.write(b"z" * 10)
    os.utime(tracks[0].uri, ns=(10**18, 10**18))
    assert digest(dataset) == loose
    assert digest(dataset, strict=True) != strict


def test_where_the_data_folder_lies_does_not_count(dataset, tmp_path):
    tracks, split_of, root = dataset
    before = digest(dataset)
    moved = str(tmp_path / "moved")
    os.rename(root, moved)
    tracks = [dataclasses.replace(t, uri=t.uri.replace(root, moved)) for t in tracks]
    assert digest((tracks, split_of, moved)) == before


@pytest.mark.parametrize("strict", [False, True])
def test_a_file_that_is_gone_changes_the_digest_and_raises_nothing(dataset, strict):
    tracks, _, _ = dataset
    before = digest(dataset, strict=strict)
    os.unlink(tracks[0].uri)
    assert digest(dataset, strict=strict) != before


def test_fields_cannot_run_into_each_other(dataset):
    tracks, _, root = dataset
    one = dataclasses.replace(tracks[0], artist_id="x", genre="yz")
    two = dataclasses.replace(tracks[0], artist_id="xy", genre="z")
    assert digest(([one], {}, root)) != digest(([two], {}, root))


def test_strict_reads_files_of_several_blocks(dataset):
    tracks, _, _ = dataset
    seen = set()
    for last in (b"0", b"1"):
        with open(tracks[0].uri, "wb") as out:
            out.write(b"x" * (1 << 20) * 2 + last)
        seen.add(digest(dataset, strict=True))
    assert len(seen) == 2


def test_installing_pyav_changes_the_digest(dataset, monkeypatch):
    """A file of any name may hold what it reads."""
    digests = []
    for installed in (False, True):
        monkeypatch.setattr(formats, "has_pyav", lambda installed=installed: installed)
        digests.append(digest(dataset))
    assert digests[0] != digests[1]
