from __future__ import annotations

import csv

import pytest

from components.common.errors import DatasetError
from components.datasets.track import Track


def row(
    number: str, genre: str = "Rock", split: str = "training", subset: str = "small", artist="7"
):
    return {
        "id": number,
        ("artist", "id"): artist,
        ("set", "split"): split,
        ("set", "subset"): subset,
        ("track", "genre_top"): genre,
    }


def test_a_row_becomes_a_track_with_id_path_genre_artist_and_official_split(
    write_fma, touch, read, tmp_path
):
    write_fma([row("140", "Folk", "validation", artist="54")])
    touch("fma_small/000/000140.mp3")

    tracks, rejects = read(kind="fma")

    path = str(tmp_path / "fma_small" / "000" / "000140.mp3")
    assert tracks == [Track("140", path, "Folk", "54", "validation")]
    assert rejects == []


def test_the_folder_is_the_first_three_of_six_digits(write_fma, touch, read):
    write_fma([row("99134"), row("133297")])
    touch("fma_small/099/099134.mp3")
    touch("fma_small/133/133297.mp3")
    tracks, _ = read(kind="fma")
    assert [track.track_id for track in tracks] == ["99134", "133297"]


@pytest.mark.parametrize(
    ("subset", "expected"),
    [("small", ["1"]), ("medium", ["1", "2"]), ("large", ["1", "2", "3"])],
)
def test_a_subset_holds_the_smaller_ones(write_fma, touch, read, subset, expected):
    write_fma([row("1"), row("2", subset="medium"), row("3", subset="large")])
    for number in (1, 2, 3):
        touch(f"fma_{subset}/000/00000{number}.mp3")
    tracks, rejects = read(kind="fma", fma_subset=subset)
    assert [track.track_id for track in tracks] == expected
    assert rejects == []


def test_a_larger_subset_on_disk_serves_for_a_smaller_one(write_fma, touch, read):
    write_fma([row("1"), row("2", subset="medium")])
    touch("fma_large/000/000001.mp3")
    tracks, _ = read(kind="fma", fma_subset="small")
    assert [track.track_id for track in tracks] == ["1"]


def test_a_smaller_subset_on_disk_does_not_serve_for_a_larger_one(write_fma, touch, read):
    write_fma([row("1")])
    touch("fma_small/000/000001.mp3")
    with pytest.raises(
        DatasetError,
        match="no audio folder fma_medium or fma_large; download it: genreflow download fma_medium",
    ):
        read(kind="fma", fma_subset="medium")


def test_splits_are_named_as_ours_and_a_blank_one_is_none(write_fma, touch, read):
    write_fma([row(str(n), split=s) for n, s in enumerate(["training", "validation", "test", ""])])
    for number in range(4):
        touch(f"fma_small/000/00000{number}.mp3")
    tracks, _ = read(kind="fma")
    assert [track.split_hint for track in tracks] == ["train", "validation", "test", None]


def test_a_blank_artist_is_unknown(write_fma, touch, read):
    write_fma([row("1", artist=" ")])
    touch("fma_small/000/000001.mp3")
    tracks, _ = read(kind="fma")
    assert tracks[0].artist_id is None


def test_missing_and_empty_files_and_blank_genres_are_rejects(write_fma, touch, read):
    write_fma([row("1"), row("2"), row("3", genre="")])
    touch("fma_small/000/000002.mp3", b"")
    touch("fma_small/000/000003.mp3")
    tracks, rejects = read(kind="fma")
    assert tracks == []
    assert [(r.track_id, r.reason) for r in rejects] == [
        ("1", "missing_file"),
        ("2", "empty_file"),
        ("3", "no_genre"),
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row("x12"), "line 4: track id 'x12' is not a number"),
        (row("-1"), "is not a number"),
        (row("1234567890"), "is not a number"),
        (row("٣"), "is not a number"),
        (row("2", subset="tiny"), "subset 'tiny' is not one of small, medium, large"),
        (row("2", split="holdout"), "split 'holdout' is not one of training, validation, test"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_reject_that_says_why(write_fma, touch, read, bad, said):
    write_fma([bad, row("1")])
    touch("fma_small/000/000001.mp3")
    tracks, rejects = read(kind="fma")
    assert [track.track_id for track in tracks] == ["1"]
    assert [reject.reason for reject in rejects] == ["bad_metadata"]
    assert said in rejects[0].detail


def test_a_row_with_too_few_cells_is_a_reject(write_fma, touch, read):
    path = write_fma([row("1")])
    with open(path, "a", encoding="utf-8") as out:
        out.write("5,Album,9\n\n")
    touch("fma_small/000/000001.mp3")
    tracks, rejects = read(kind="fma")
    assert len(tracks) == 1
    assert [(r.track_id, r.reason) for r in rejects] == [("5", "bad_metadata")]
    assert rejects[0].detail == "tracks.csv line 5 has 3 cells, its header 8"


def test_quoted_newlines_escapes_and_huge_fields_in_other_columns_do_no_harm(
    write_fma, touch, read
):
    nasty = {**row("1"), ("track", "title"): 'a\nb\x1b[31m,"q"', ("artist", "name"): "z" * 300_000}
    write_fma([nasty, row("2")])
    touch("fma_small/000/000001.mp3")
    touch("fma_small/000/000002.mp3")
    tracks, rejects = read(kind="fma")
    assert [track.track_id for track in tracks] == ["1", "2"]
    assert rejects == []


@pytest.mark.parametrize(
    "column", [("track", "genre_top"), ("set", "split"), ("set", "subset"), ("artist", "id")]
)
def test_a_missing_column_is_named_with_its_file(write_fma, touch, read, column):
    columns = [("artist", "id"), ("set", "split"), ("set", "subset"), ("track", "genre_top")]
    columns.remove(column)
    write_fma([row("1")], columns)
    touch("fma_small/000/000001.mp3")
    with pytest.raises(DatasetError) as caught:
        read(kind="fma")
    assert str(caught.value) == f"tracks.csv: no column {column}; is this fma_metadata?"


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"track_id,genre\n1,Rock\n2,Pop,3\n"])
def test_another_csv_is_not_taken_for_the_metadata(touch, read, content):
    touch("fma_metadata/tracks.csv", content)
    touch("fma_small/000/000001.mp3")
    with pytest.raises(DatasetError, match=r"tracks\.csv: .*is this fma_metadata\?"):
        read(kind="fma")


def test_metadata_in_another_encoding_is_an_error_that_says_so(write_fma, touch, read):
    touch("fma_small/000/000001.mp3")
    for songs in (2, 20_000):
        path = write_fma([*(row(str(number)) for number in range(1, songs)), row("0", genre="Pop")])
        content = path.read_bytes().replace(b"Pop", "Électro".encode("latin-1"))
        path.write_bytes(content)
        line = content[: content.index(b"\xc9")].count(b"\n") + 1
        with pytest.raises(DatasetError, match=rf"tracks\.csv: not UTF-8 text in line {line} \("):
            read(kind="fma")


def test_a_nul_byte_in_the_metadata_is_an_error_without_a_traceback(write_fma, touch, read):
    path = write_fma([row("1", genre="Rock")])
    path.write_bytes(path.read_bytes().replace(b"Rock", b"R\0ck"))
    touch("fma_small/000/000001.mp3")
    with pytest.raises(DatasetError, match=r"tracks\.csv: not CSV after line 3 .*NUL"):
        read(kind="fma")


def test_missing_metadata_says_where_it_was_looked_for_and_how_to_get_it(touch, read, tmp_path):
    touch("fma_small/000/000002.mp3")
    with pytest.raises(DatasetError) as caught:
        read(kind="fma")
    message = str(caught.value)
    assert str(tmp_path / "fma_metadata" / "tracks.csv") in message
    assert f"genreflow download fma_small {tmp_path}" in message


def test_the_audio_folder_given_as_the_data_folder_is_pointed_out(write_fma, touch, tmp_path):
    from components.datasets.corpus import read_tracks
    from components.datasets.settings import DatasetSettings

    write_fma([row("2")])
    touch("fma_small/000/000002.mp3")
    with pytest.raises(DatasetError, match=f"name {tmp_path} as the data folder$"):
        list(read_tracks(DatasetSettings(kind="fma"), str(tmp_path / "fma_small")))


def test_a_synthetic_corpus_is_read_as_fma_is_and_its_errors_name_no_download(
    write_fma, touch, read
):
    touch("other.txt")
    with pytest.raises(DatasetError) as caught:
        read(kind="synthetic")
    assert "zip" not in str(caught.value)
    write_fma([row("2")])
    touch("fma_small/000/000002.mp3")
    tracks, _ = read(kind="synthetic")
    assert [track.track_id for track in tracks] == ["2"]


def test_the_reader_is_lazy(write_fma, touch, tmp_path):
    """The first track is yielded before the broken end of the metadata is read."""
    from components.datasets.files.open import open_files
    from components.datasets.readers import fma
    from components.datasets.settings import DatasetSettings

    path = write_fma([row("1"), *(row(str(n), subset="large") for n in range(2, 2000))])
    with open(path, "ab") as out:
        out.write(b"\xff\xfe broken\n")
    touch("fma_small/000/000001.mp3")
    items = fma.read(DatasetSettings(kind="fma"), open_files(str(tmp_path)))
    assert next(items).track_id == "1"
    with pytest.raises(DatasetError):
        next(items)


def test_the_csv_field_limit_is_never_lowered(write_fma, touch, read):
    before = csv.field_size_limit(1 << 28)
    try:
        write_fma([row("1")])
        touch("fma_small/000/000001.mp3")
        read(kind="fma")
        assert csv.field_size_limit() == 1 << 28
    finally:
        csv.field_size_limit(before)


def test_a_needed_column_that_is_there_twice_is_an_error(write_fma, touch, read):
    columns = [("artist", "id"), ("set", "split"), ("set", "subset"), ("track", "genre_top")]
    write_fma([row("1")], columns=[*columns, ("track", "genre_top")])
    touch("fma_small/000/000001.mp3")
    with pytest.raises(DatasetError, match=r"two columns .*genre_top'\)"):
        read(kind="fma")
