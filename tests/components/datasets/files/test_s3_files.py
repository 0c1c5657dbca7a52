"""A data folder in an object store: the same tracks as on a disk, and none from outside it."""

from __future__ import annotations

import dataclasses
import pathlib
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from components.common.errors import DatasetError
from components.datasets.corpus import load_corpus, read_tracks
from components.datasets.digest import manifest_digest
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import Reject, Track
from components.storage.errors import StorageSetupError
from components.storage.uri import UriError
from tests.support import s3_server

Put = Callable[..., None]
Read = Callable[..., tuple[list[Track], list[Reject]]]


@pytest.fixture
def put(s3: Any, bucket: str) -> Put:
    """Return a function that writes objects below data/, by default with their names in them."""

    def write(*keys: str, content: bytes | None = None) -> None:
        for key in keys:
            body = key.encode() if content is None else content
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    return write


@pytest.fixture
def read_s3(bucket: str) -> Read:
    def run(root: str = "data", **settings: Any) -> tuple[list[Track], list[Reject]]:
        items = list(read_tracks(DatasetSettings(**settings), f"s3://{bucket}/{root}"))
        return (
            [item for item in items if isinstance(item, Track)],
            [item for item in items if isinstance(item, Reject)],
        )

    return run


def _ids(items: list[Any]) -> list[str]:
    return [item.track_id for item in items]


@pytest.mark.parametrize("kind", ["fma", "folder", "gtzan", "manifest"])
def test_a_store_gives_the_tracks_that_the_same_files_on_a_disk_give(
    put: Put, bucket: str, tmp_path: pathlib.Path, kind: str, write_fma: Callable[..., Any]
) -> None:
    root = tmp_path / "d" if kind != "fma" else tmp_path
    names = {
        "fma": ["fma_small/000/000002.mp3", "fma_small/000/000005.mp3"],
        "folder": ["Rock/a.mp3", "Rock/z/y/b.FLAC", "Rock/z/c.ogg", "Jazz/é d.wav", "Jazz/x.m4a",
                   "Jazz/.hidden/x.wav", "Rock/cover.jpg", "top.wav", "Rock/zz.wav"],
        "gtzan": ["rock/1.au", "blues/b.wav", "blues/a.wav", "blues/deep/c.wav", "blues/d.mp3"],
        "manifest": ["lists/x.wav", "lists/deep/y.wav"],
    }[kind]  # fmt: skip
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    (root / "Rock").mkdir(exist_ok=True)
    settings = DatasetSettings(kind=kind)
    if kind == "fma":
        genre, subset, split = ("track", "genre_top"), ("set", "subset"), ("set", "split")
        write_fma(
            [
                {"id": "2", genre: "Hip-Hop", subset: "small", split: "training"},
                {"id": "5", genre: "Rock", subset: "small", split: "test", ("artist", "id"): "7"},
                {"id": "9", genre: "Rock", subset: "small", split: "test"},
            ]
        )
    if kind == "manifest":
        settings = dataclasses.replace(settings, manifest="lists/m.csv")
        (root / "lists" / "m.csv").write_text(
            "uri,genre,split,track_id\nx.wav,Rock,train,\n./deep/../deep/y.wav,Pop,test,\n"
            "z.wav,Pop,,\n../../x.wav,Pop,,1\n/x.wav,Pop,,2\nhttp://h/x.wav,Pop,,3\n"
        )
    for path in root.rglob("*"):
        if path.is_file():
            put(f"data/{path.relative_to(root).as_posix()}", content=path.read_bytes())

    here = list(read_tracks(settings, str(root)))
    there = list(read_tracks(settings, f"s3://{bucket}/data"))
    as_local = [
        dataclasses.replace(item, uri=item.uri.replace(f"s3://{bucket}/data", str(root)))
        for item in there
    ]
    assert len(there) >= 2
    for mine, theirs in zip(as_local, here, strict=True):
        if isinstance(mine, Track) and isinstance(theirs, Track):
            assert dataclasses.replace(mine, state=None) == theirs
            assert mine.state is not None
            assert mine.state.size_bytes == pathlib.Path(theirs.uri).stat().st_size
        else:
            assert type(mine) is type(theirs)
            assert (mine.track_id, mine.genre) == (theirs.track_id, theirs.genre)
            assert mine.reason == theirs.reason  # type: ignore[union-attr]


def test_folders_and_files_of_one_name_empty_objects_and_odd_keys(put: Put, read_s3: Read) -> None:
    put("data/Rock/a.mp3", "data/Rock/a.mp3/b.mp3", "data/Rock//c.mp3", "data/Rock/../d.mp3")
    put("data/Rock/", "data/Rock/empty.mp3", content=b"")
    tracks, rejects = read_s3(kind="folder")
    assert _ids(tracks) == ["Rock/a", "Rock/a.mp3/b"]
    assert sorted((r.track_id, r.reason) for r in rejects) == [
        ("Rock/", "bad_metadata"),
        ("Rock/empty", "empty_file"),
    ]


def test_a_manifest_leads_nowhere_but_into_the_data_folder(
    put: Put, read_s3: Read, bucket: str
) -> None:
    put("data/in.wav", "data-more/x.wav", "x.wav")
    rows = {
        "ok": f"s3://{bucket}/data/in.wav",
        "1": f"s3://{bucket}/data/../x.wav",
        "2": f"s3://{bucket}/data-more/x.wav",
        "3": "s3://another-bucket/data/in.wav",
        "4": "../x.wav",
        "5": "/data/in.wav",
        "6": "s3://id:pa55word@b/x.wav",
        "7": f"s3://{bucket}",
        "8": "../../../etc/passwd",
    }
    lines = [f"{track_id},{uri},Rock" for track_id, uri in rows.items()]
    put("data/manifest.csv", content="\n".join(["track_id,uri,genre", *lines]).encode())
    tracks, rejects = read_s3(kind="manifest")
    assert _ids(tracks) == ["ok"]
    assert {r.track_id: r.reason for r in rejects} == {
        key: "outside_root" for key in rows if key != "ok"
    }


def test_a_whole_bucket_may_be_the_data_folder(put: Put, read_s3: Read, bucket: str) -> None:
    put("Rock/a.mp3", "Pop/b.mp3", "../c.mp3")
    tracks, _ = read_s3(root="", kind="folder")
    assert _ids(tracks) == ["Pop/b", "Rock/a"]
    assert tracks[0].uri == f"s3://{bucket}/Pop/b.mp3"
    put("manifest.csv", content=b"uri,genre,track_id\nRock/a.mp3,Rock,a\n../c.mp3,Rock,c\n")
    tracks, rejects = read_s3(root="", kind="manifest")
    assert _ids(tracks) == ["a"]
    assert [(r.track_id, r.reason) for r in rejects] == [("c", "outside_root")]


def test_nothing_there_and_no_bucket_are_said(read_s3: Read, bucket: str) -> None:
    with pytest.raises(DatasetError, match=f"s3://{bucket}/data: the data folder is empty"):
        read_s3(kind="folder")
    with pytest.raises(StorageSetupError, match="no such bucket"):
        read_tracks(DatasetSettings(kind="folder"), "s3://no-bucket-of-this-name/data")
    with pytest.raises(UriError, match="only local folders and s3://"):
        read_tracks(DatasetSettings(kind="folder"), "gs://bucket/data")


def test_a_corpus_is_listed_once_and_no_audio_is_read(
    put: Put, bucket: str, s3_proxy: s3_server.Proxy
) -> None:
    put(*(f"data/{genre}/{i}.wav" for genre in ("Rock", "Pop") for i in range(6)))
    s3_proxy.log.clear()
    settings = DatasetSettings(kind="folder", data_dir=f"s3://{bucket}/data")
    corpus = load_corpus(settings, SplitSettings(policy="by_track"))
    assert len(corpus.tracks) == 12
    assert len(s3_proxy.log) == 2  # one check for any object, one listing
    assert all("list-type=2" in exchange.path for exchange in s3_proxy.log)


def _digest(bucket: str, *, strict: bool = False) -> str:
    root = f"s3://{bucket}/data"
    tracks = [
        item
        for item in read_tracks(DatasetSettings(kind="folder"), root)
        if isinstance(item, Track)
    ]
    return manifest_digest(tracks, {}, data_dir=root, genres=("Rock",), strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_the_digest_changes_with_an_object_and_not_with_its_date_or_place(
    put: Put, bucket: str, s3: Any, strict: bool
) -> None:
    put("data/Rock/a.wav", "data/Rock/b.wav", content=b"before")
    before = _digest(bucket, strict=strict)
    put("data/Rock/a.wav", content=b"before")
    assert _digest(bucket, strict=strict) == before
    put("data/Rock/a.wav", content=b"after!")
    assert _digest(bucket, strict=strict) != before


def test_strict_reads_contents_where_an_etag_says_too_much(put: Put, bucket: str, s3: Any) -> None:
    """A multipart upload has another ETag than a single upload of the same bytes."""
    content = b"x" * (6 << 20)
    put("data/Rock/a.wav", content=content)
    loose, strict = _digest(bucket), _digest(bucket, strict=True)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="data/Rock/a.wav")["UploadId"]
    parts = []
    for number, part in enumerate((content[: 5 << 20], content[5 << 20 :]), 1):
        answer = s3.upload_part(
            Bucket=bucket, Key="data/Rock/a.wav", UploadId=upload, PartNumber=number, Body=part
        )
        parts.append({"ETag": answer["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="data/Rock/a.wav", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert _digest(bucket) != loose
    assert _digest(bucket, strict=True) == strict


def test_layouts_are_recognised_in_a_store_too(put: Put, read_s3: Read, bucket: str) -> None:
    put("data/Train/Rock/a.mp3", "data/test/Rock/b.mp3", "data/extra/c.mp3")
    with pytest.raises(DatasetError, match=r"dataset\.kind=split_folders"):
        read_s3(kind="folder")
    tracks, rejects = read_s3(kind="split_folders")
    assert [(t.track_id, t.genre, t.split_hint) for t in tracks] == [
        ("Train/Rock/a", "Rock", "train"),
        ("test/Rock/b", "Rock", "test"),
    ]
    assert [(r.track_id, r.reason) for r in rejects] == [("extra/c", "no_split")]
    put("more/music/Rock/a.mp3", "more/music/Jazz/b.mp3")
    with pytest.raises(DatasetError, match=f"name s3://{bucket}/more/music as the data folder"):
        read_s3(root="more", kind="folder")


def test_copies_of_a_song_keep_their_states(put: Put, read_s3: Read, bucket: str) -> None:
    put("data/Rock/a.mp3", "data/Rock/a.flac")
    (track,), rejects = read_s3(kind="folder")
    assert [file.uri for file in track.files] == [
        f"s3://{bucket}/data/Rock/a.flac",
        f"s3://{bucket}/data/Rock/a.mp3",
    ]
    assert all(file.state is not None for file in track.files)
    assert rejects == []


def test_a_manifest_finds_objects_by_other_spellings(put: Put, read_s3: Read) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Björk é") for form in ("NFC", "NFD"))
    put(f"data/{composed}/a.mp3", f"data/{decomposed}/{composed}.mp3", "data/c/d.mp3")
    rows = [f"{decomposed}/a.mp3", f"{composed}/{decomposed}.mp3", "c\\d.mp3", f"{composed}.mp3"]
    text = "uri,genre\n" + "".join(f"{row},Rock\n" for row in rows)
    put("data/manifest.csv", content=text.encode())
    tracks, rejects = read_s3(kind="manifest")
    assert _ids(tracks) == [f"{composed}/a", f"{decomposed}/{composed}", "c/d"]
    assert [r.reason for r in rejects] == ["missing_file"]
