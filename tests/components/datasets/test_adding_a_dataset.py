"""Adding a kind of dataset takes a reader module and its line in READERS, and no other source."""

from __future__ import annotations

import json
import pathlib
import sys
import textwrap
from collections.abc import Callable

import pytest

from components.datasets.corpus import load_corpus
from components.datasets.registry import READERS, Reader
from pipeline.config.load import load
from pipeline.config.messages import ConfigError
from pipeline.results.json_schema import results_schema

MODULE = "a_reader_of_playlists"
# Each line of playlist.txt: split, genre, path.
READER = """
    from components.common.errors import DatasetError
    from components.datasets.track import Track


    def read(settings, files):
        if not files.is_file("playlist.txt"):
            raise DatasetError(f"{files.root}: no playlist.txt")
        with files.open_text("playlist.txt") as lines:
            for line in lines:
                split, genre, path = line.split()
                yield Track(path.partition(".")[0], path, genre, split_hint=split)
"""
GENRES = ("Folk", "Rock")
SPLITS = ("train", "validation", "test")


@pytest.fixture
def playlists(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{MODULE}.py").write_text(textwrap.dedent(READER))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(READERS, "playlist", Reader(MODULE, official_split=True))
    yield
    sys.modules.pop(MODULE, None)


@pytest.fixture
def songs(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "songs"
    folder.mkdir()
    lines = []
    for genre in GENRES:
        for split in SPLITS:
            name = f"{genre}-{split}.mp3"
            (folder / name).write_bytes(b"x")
            lines.append(f"{split} {genre} {name}\n")
    lines.append("train Rock gone.mp3\n")
    (folder / "playlist.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def configure(tmp_path: pathlib.Path, songs: pathlib.Path) -> Callable[..., object]:
    def write(kind: str, policy: str = "official") -> object:
        path = tmp_path / "c.toml"
        path.write_text(
            f'[dataset]\nkind = "{kind}"\ndata_dir = "{songs}"\n'
            f'[split]\npolicy = "{policy}"\n[models.ffnn]\n'
        )
        return load(path)

    return write


def test_the_configuration_accepts_it_and_the_corpus_is_read_and_split(
    playlists: None, configure: Callable[..., object], songs: pathlib.Path
) -> None:
    config = configure("playlist")
    corpus = load_corpus(config.dataset, config.split)
    assert corpus.genres == GENRES
    assert [track.uri for track in corpus.tracks] == sorted(map(str, songs.glob("*.mp3")))
    assert corpus.splits.split_of == {f"{g}-{s}": s for g in GENRES for s in SPLITS}
    assert [(reject.track_id, reject.reason) for reject in corpus.rejects] == [
        ("gone", "missing_file")
    ]


@pytest.mark.parametrize("policy", ["by_track", "by_artist", "by_clip"])
def test_every_other_split_policy_works(
    policy: str, playlists: None, configure: Callable[..., object]
) -> None:
    config = configure("playlist", policy)
    assert len(load_corpus(config.dataset, config.split).tracks) == 6


def test_an_official_split_is_refused_where_the_metadata_has_none(
    playlists: None, configure: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READERS, "playlist", Reader(MODULE))
    with pytest.raises(ConfigError, match=r'dataset\.kind = "playlist" has no official split'):
        configure("playlist")


def test_an_unknown_kind_is_refused_with_all_kinds_that_there_are(
    playlists: None, configure: Callable[..., object]
) -> None:
    names = ", ".join(f'"{kind}"' for kind in READERS)
    assert '"playlist"' in names
    with pytest.raises(ConfigError) as caught:
        configure("playlists")
    assert f'c.toml: dataset.kind = "playlists": must be one of {names}' in str(caught.value)


def test_the_schema_of_the_results_allows_it(playlists: None) -> None:
    schema = json.loads(results_schema())
    assert schema["properties"]["dataset"]["enum"] == list(READERS)


def test_without_its_line_the_kind_is_unknown(configure: Callable[..., object]) -> None:
    with pytest.raises(
        ConfigError, match='must be one of "fma", "gtzan", "folder", "split_folders"'
    ):
        configure("playlist")
