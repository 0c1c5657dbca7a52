"""No track, and under by_artist no artist, is in two splits, for all kinds and policies.

From files through the readers to the splits. Duplicated audio is in
tests/components/spectrogram_gen/test_duplicate_audio.py.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import typing
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from components.common.errors import SplitError
from components.datasets.corpus import Corpus, load_corpus, read_tracks
from components.datasets.registry import READERS
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.text import artist_key
from components.datasets.track import SPLITS, Note, Track
from tests.support import layouts

KINDS = sorted(READERS)
POLICIES = typing.get_args(typing.get_type_hints(SplitSettings)["policy"])
KNOW_ARTISTS = {"fma", "manifest", "synthetic"}
WALKED = {"folder", "gtzan", "split_folders"}
GENRES = ("Électro", "Hip-Hop", "Rock")
# Spellings of artists in different sources. All spellings at one index are one artist.
ARTISTS = (
    "Björk Ágúst",
    "MÅNESKIN",
    "The  Straße",
    "ﬁve Ⅳ",
    "İpek",
    "Ὀρφεύς",
    "한국",
    "a",
    "b",
    "7",
)
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    str.upper,
    str.casefold,
    lambda name: f"  {name}\t".replace("\t", " "),
    lambda name: name.replace(" ", "   "),
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: unicodedata.normalize("NFKC", name).upper(),
)

every_kind_and_policy = pytest.mark.parametrize(
    ("kind", "policy"), list(itertools.product(KINDS, POLICIES))
)


def library(rng: random.Random) -> tuple[list[Track], dict[str, int]]:
    """Return rows for lay_out, and the artist's index of each row that has an artist."""
    rows: list[Track] = []
    who: dict[str, int] = {}
    for genre in GENRES[: rng.randint(2, 3)]:
        for _ in range(rng.randint(3, 12)):
            track_id = str(1 + 1000 * len(rows) + rng.randrange(1000))
            artist = rng.randrange(-1, len(ARTISTS))
            name = rng.choice(SPELLINGS)(ARTISTS[artist]) if artist >= 0 else None
            hint = rng.choice(["train", "train", *SPLITS, None])
            rows.append(Track(track_id, "", genre, name, hint))
            if artist >= 0:
                who[track_id] = artist
    return rows, who


def some_libraries(examples: int) -> typing.Any:
    """Draw many rows from a seed of hypothesis, because shrinking over files is too slow."""
    phases = [Phase.explicit, Phase.generate]
    return lambda check: settings(max_examples=examples, phases=phases)(
        given(st.integers(0, 2**32).map(random.Random))(check)
    )


def load(dataset: DatasetSettings, policy: str, seed: int = 0) -> Corpus | None:
    split = SplitSettings(policy=policy, seed=seed, test_fraction=0.2)  # type: ignore[arg-type]
    try:
        return load_corpus(dataset, split)
    except SplitError:
        return None


def sides_of(corpus: Corpus) -> dict[str, set[str]]:
    return {
        track.track_id: {corpus.split_of_clip(track.track_id, clip) for clip in range(4)}
        for track in corpus.tracks
    }


@pytest.fixture
def fresh_folder(tmp_path: pathlib.Path) -> Callable[[], pathlib.Path]:
    """Return a new name, of another length and depth, for each of hypothesis' examples."""
    count = itertools.count()

    def make() -> pathlib.Path:
        index = next(count)
        return tmp_path / "/".join("d" * (index % 5 + 1)) / f"é {index}" / "data"

    return make


@every_kind_and_policy
def test_no_track_and_no_promised_artist_is_on_two_sides(
    kind: str, policy: str, fresh_folder: typing.Any
) -> None:
    split_ones = 0

    @some_libraries(15)
    def check(rng: random.Random) -> None:
        nonlocal split_ones
        rows, who = library(rng)
        corpus = load(layouts.lay_out(kind, rows, fresh_folder()), policy, rng.randrange(4))
        if corpus is None:
            return
        split_ones += 1
        sides = sides_of(corpus)
        row_of = {layouts.id_of(kind, row): row for row in rows}
        assert set(sides) | {reject.track_id for reject in corpus.rejects} == set(row_of)
        assert corpus.leaky == (policy == "by_clip")
        if policy == "by_clip":
            assert any("by_clip" in warning for warning in corpus.splits.warnings)
            return
        assert all(len(found) == 1 for found in sides.values())
        if policy == "official":
            assert sides == {i: {row_of[i].split_hint} for i in sides}
        artists: dict[int, set[str]] = defaultdict(set)
        for track_id, found in sides.items():
            row = row_of[track_id]
            if row.track_id in who and kind in KNOW_ARTISTS:
                artists[who[row.track_id]] |= found
        crossing = sum(len(found) > 1 for found in artists.values())
        if policy == "by_artist":
            assert crossing == 0
        else:  # artists may be shared, with a warning
            said = [w for w in corpus.splits.warnings if "in more than one split" in w]
            assert [w.split(" ", 1)[0] for w in said] == [str(crossing)] * bool(crossing)

    check()
    possible = policy != "official" or READERS[kind].official_split
    assert (split_ones >= 4) == possible, "the test looked at nothing"


@pytest.fixture
def shuffled_listings(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """Make folders list their entries in a random order."""
    rng = random.Random(1)
    real = os.scandir

    class Listing:
        def __init__(self, path: str | bytes | int | None = None) -> None:
            with real(path) as entries:
                self._entries = list(entries)
            rng.shuffle(self._entries)

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self._entries)

        def __next__(self) -> os.DirEntry[str]:
            if not self._entries:
                raise StopIteration
            return self._entries.pop()

        def __enter__(self) -> Listing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def listdir(path: str = ".") -> list[str]:
        return [entry.name for entry in Listing(path)]

    monkeypatch.setattr(os, "scandir", Listing)
    monkeypatch.setattr(os, "listdir", listdir)
    return rng


def outcome(corpus: Corpus | None, root: str) -> object:
    """Return everything that a run uses, without the location of the folder."""
    if corpus is None:
        return None
    return (
        [dataclasses.replace(t, uri=os.path.relpath(t.uri, root)) for t in corpus.tracks],
        corpus.genres,
        sorted((i, *sorted(found)) for i, found in sides_of(corpus).items()),
        [
            tuple(v.replace(root, "") for v in (r.track_id, r.uri, r.genre, r.reason, r.detail))
            for r in corpus.rejects
        ],
        corpus.warnings,
        corpus.digest,
    )


@every_kind_and_policy
def test_order_and_place_of_the_data_change_nothing(
    kind: str,
    policy: str,
    fresh_folder: typing.Any,
    shuffled_listings: random.Random,
) -> None:
    """Check orders of rows and of folders, also if two rows share an id or a file."""

    @some_libraries(8)
    def check(rng: random.Random) -> None:
        rows, _ = library(rng)
        if kind not in WALKED:
            for row in rng.choices(rows, k=5):
                twice = Track(row.track_id, "", rng.choice(GENRES[:2]), None, rng.choice(SPLITS))
                rows.append(twice)
        if kind == "manifest":
            for row, other in zip(rng.choices(rows, k=5), rng.choices(rows, k=5), strict=True):
                same_file = dataclasses.replace(other, uri=layouts.path_of(kind, row))
                rows += [same_file, dataclasses.replace(same_file, track_id=str(10**5 + len(rows)))]
        seen = []
        for order in (None, shuffled_listings, shuffled_listings):
            root = fresh_folder()
            dataset = layouts.lay_out(kind, rows, root, order=order)
            # Rows keep the order of the metadata; entries of folders have no order.
            walked = kind in WALKED and [
                item.track_id
                for item in read_tracks(dataset, str(root))
                if not isinstance(item, Note)
            ]
            seen.append((outcome(load(dataset, policy), str(root)), walked))
        assert seen[1] == seen[0]
        assert seen[2] == seen[0]

    check()


@every_kind_and_policy
def test_a_limited_dataset_is_the_same_tracks_in_any_order(
    kind: str,
    policy: str,
    tmp_path: pathlib.Path,
    shuffled_listings: random.Random,
) -> None:
    rows = [
        Track(str(7 * i), "", GENRES[i % 2], f"artist {i // 3}", SPLITS[i // 2 % 3])
        for i in range(1, 60)
    ]
    seen = []
    for name in ("a", "bb"):
        dataset = layouts.lay_out(kind, rows, tmp_path / name, order=shuffled_listings)
        dataset = dataclasses.replace(dataset, max_tracks=40)
        seen.append(outcome(load(dataset, policy), str(tmp_path / name)))
    assert seen[0] == seen[1]
    if policy != "official" or READERS[kind].official_split:
        assert len(seen[0][0]) == 40  # type: ignore[index]


_SCRIPT = """
import dataclasses, json, sys
from components.datasets.corpus import load_corpus
from components.common.errors import SplitError
from components.datasets.settings import DatasetSettings, SplitSettings
seen = []
for kind, policy, folder in json.loads(sys.argv[1]):
    try:
        corpus = load_corpus(DatasetSettings(kind=kind, data_dir=folder), SplitSettings(policy))
    except SplitError as error:
        seen.append(str(error))
        continue
    clips = [corpus.split_of_clip(t.track_id, c) for t in corpus.tracks for c in range(4)]
    seen.append([corpus.digest, clips, corpus.splits.warnings, len(corpus.rejects)])
print(json.dumps(seen))
"""


def test_pythons_hash_seed_changes_nothing(tmp_path: pathlib.Path) -> None:
    rng = random.Random(2)
    rows = [
        Track(str(i), "", rng.choice(GENRES), rng.choice([None, *ARTISTS]), rng.choice(SPLITS))
        for i in range(1, 90)
    ]
    rows += [dataclasses.replace(rng.choice(rows), genre="Rock") for _ in range(9)]
    cases = []
    for kind in KINDS:
        layouts.lay_out(kind, rows, tmp_path / kind)
        cases += [(kind, policy, str(tmp_path / kind)) for policy in POLICIES]
    seen = []
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, json.dumps(cases)],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        seen.append(json.loads(done.stdout))
    assert seen[0] == seen[1] == seen[2]
    assert sum(isinstance(found, list) for found in seen[0]) == len(cases) - 2


@pytest.mark.parametrize("name", ARTISTS)
def test_spellings_of_an_artist_have_one_key(name: str) -> None:
    assert len({artist_key(spell(name)) for spell in SPELLINGS}) == 1


def test_artists_that_differ_by_more_than_spelling_have_keys_of_their_own() -> None:
    names = ["AC/DC", "ACDC", "A C D C", "Bjork", "Björk", "1", "01", "Prince", "Prince 2", ""]
    assert len({artist_key(name) for name in names}) == len(names)


@given(st.text())
def test_the_key_of_a_key_is_itself(name: str) -> None:
    assert artist_key(artist_key(name)) == artist_key(name)
