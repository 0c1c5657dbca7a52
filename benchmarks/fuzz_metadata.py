"""Fuzzing of the metadata readers: each case must give tracks and rejects, or one clear error.

    python -m benchmarks.fuzz_metadata [--cases 20000] [--seed 0]

FMA's tracks.csv and manifests are cut, spliced, re-encoded, and get flipped bits and absurd cells.
Trees of genre folders get every kind of name and of file that a disk can hold. Each case is read
as a run reads it, checked against the readers' guarantees, and written as a run writes it. The
program prints the outcomes, cases a second, the slowest case and the peak memory. A case that
breaks a guarantee, or takes longer than LIMIT_SECONDS, ends the program with its number.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator

from benchmarks.shared import command
from benchmarks.shared import hostile_metadata as hostile
from components.common.errors import SplitError, UsageError
from components.common.escape import printable
from components.datasets import text
from components.datasets.corpus import Corpus, list_tracks, read_tracks, split_listing
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import REJECT_REASONS, Reject, Track
from components.spectrogram_gen.rejects import write_csv

LIMIT_SECONDS = 5
MAX_MESSAGE_CHARACTERS = 10_000
NOBODY = 65534


class BrokenGuaranteeError(AssertionError):
    """Violation of a guarantee that readers give."""


def require(holds: bool, guarantee: str, *about: object) -> None:
    if not holds:
        raise BrokenGuaranteeError(f"{guarantee}: {', '.join(map(ascii, about))}"[:500])


def check_case(dataset: DatasetSettings, policy: str, csv_path: pathlib.Path) -> str:
    """Read a dataset as a run does, and return the outcome.

    Raises:
      BrokenGuaranteeError: if a guarantee of the readers does not hold.
    """
    split = SplitSettings(policy=policy)  # type: ignore[arg-type]
    try:
        items = list(read_tracks(dataset, dataset.data_dir))
        tracks = [item for item in items if isinstance(item, Track)]
        rejects = [item for item in items if isinstance(item, Reject)]
        _check_tracks(tracks, dataset)
        _check_rejects(rejects, csv_path)
        listing = list_tracks(dataset)
        require(sorted(listing.tracks) == sorted(tracks), "a second reading gives the same")
        try:
            corpus = split_listing(listing, dataset, split)
        except SplitError as error:
            _check_message(error)
            return "read, cannot be split"
        _check_corpus(corpus)
        return "read and split"
    except UsageError as error:
        _check_message(error)
        return type(error).__name__


def _check_message(error: Exception) -> None:
    message = str(error)
    require(bool(message.strip()), "an error has a message")
    require(len(message) <= MAX_MESSAGE_CHARACTERS, "a message is short", len(message))
    _check_text(message)


def _check_text(value: str) -> None:
    """Check that a text can be written, and be shown without control characters."""
    text.encodable(value).encode("utf-8")
    shown = text.printable(printable(value), 10**9)
    require(all(c.isprintable() for c in printable(value)), "shown without controls", value[:100])
    shown.encode("utf-8")


def _check_tracks(tracks: list[Track], dataset: DatasetSettings) -> None:
    root = os.path.realpath(dataset.data_dir)
    require(len({t.track_id for t in tracks}) == len(tracks), "ids are unique")
    real = {os.path.realpath(t.uri) for t in tracks}
    require(len(real) == len(tracks), "no file appears twice")
    for track in tracks:
        path = os.path.realpath(track.uri)
        require(path.startswith(root + os.sep), "a track is inside the data folder", path)
        require(os.path.isfile(path) and os.path.getsize(path) > 0, "a track is a file", path)
        require(bool(track.track_id and track.genre), "a track has an id and a genre", track)
        for value in (track.track_id, track.genre, track.artist_id or ""):
            require(text.problem(value, 4096) is None, "a name has no control character", value)
            value.encode("utf-8")  # as a tf.Example, results.json and CSV files hold it
        track.uri.encode("utf-8")
        require(json.loads(json.dumps(track.genre)) == track.genre, "a genre survives JSON")


def _check_rejects(rejects: list[Reject], csv_path: pathlib.Path) -> None:
    for reject in rejects:
        require(reject.reason in REJECT_REASONS, "a reject's reason is listed", reject.reason)
        require(
            reject.uri == "" or "://" in reject.uri or os.path.isabs(reject.uri),
            "a reject's uri is absolute",
            reject.uri,
        )
        for value in (reject.track_id, reject.uri, reject.genre, reject.detail):
            value.encode("utf-8")
            _check_text(value)
    write_csv(str(csv_path), rejects)
    content = csv_path.read_bytes()
    require(not set(content) & {*range(32), 127} - {10, 13}, "rejects.csv has no control character")
    with open(csv_path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    require(len(rows) == len(rejects), "each reject has a row", len(rows), len(rejects))
    for row in rows:
        is_formula = any(cell[:1] in tuple("=+-@") for cell in row.values())
        require(not is_formula, "no cell is a formula", row)


def _check_corpus(corpus: Corpus) -> None:
    for track in corpus.tracks:
        splits = {corpus.split_of_clip(track.track_id, clip) for clip in range(4)}
        require(len(splits) == 1 or corpus.leaky, "a track is in one split", track)
    for warning in corpus.warnings:
        _check_text(warning)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Run as the user nobody if started by root, who may read unreadable files."""
    if os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise BrokenGuaranteeError(f"longer than {LIMIT_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def make_case(kind: str, folder: pathlib.Path, rng: random.Random) -> DatasetSettings:
    """Write one case's dataset, and return settings that read it."""
    if kind in ("folder", "gtzan"):
        root = folder / "tree"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        hostile.tree_case(str(root), str(folder / "outside"), rng)
    else:
        root = folder / "fma"
        rows, name = (
            (hostile.fma_rows(), "fma_metadata/tracks.csv")
            if kind == "fma"
            else (hostile.manifest_rows(), "manifest.csv")
        )
        (root / name).write_bytes(hostile.csv_case(rows, rng))
    # With named genres, others are rejected.
    genres = hostile.GENRES if rng.random() < 0.3 else ()
    return DatasetSettings(kind=kind, data_dir=str(root), genres=genres)


def prepare(folder: pathlib.Path) -> None:
    """Write the files that CSV cases refer to, and a folder outside."""
    folder.chmod(0o755)
    (folder / "outside").mkdir()
    (folder / "outside" / "song.mp3").write_bytes(b"x")
    audio = folder / "fma" / "fma_small" / "000"
    audio.mkdir(parents=True)
    (folder / "fma" / "fma_metadata").mkdir()
    for index in range(hostile.ROWS - 2):
        (audio / f"{index:06d}.mp3").write_bytes(b"x" if index else b"")
    (folder / "written").mkdir()
    (folder / "written").chmod(0o777)
    (folder / "fma" / "fma_metadata" / "tracks.csv").write_bytes(hostile.encode(hostile.fma_rows()))
    (folder / "fma" / "manifest.csv").write_bytes(hostile.encode(hostile.manifest_rows()))
    (folder / "tree" / "Folk").mkdir(parents=True)
    (folder / "tree" / "Folk" / "song.wav").write_bytes(b"x")
    # One intact case of each kind must succeed. It also triggers late imports before root's
    # rights are given up, as another user may not be able to read a virtual environment.
    for kind, root in (("fma", "fma"), ("manifest", "fma"), ("folder", "tree"), ("gtzan", "tree")):
        dataset = DatasetSettings(kind=kind, data_dir=str(folder / root))
        end = check_case(dataset, "by_track", folder / "written" / "intact.csv")
        require(end.startswith("read"), "an intact dataset is read", kind, end)


def campaign(
    cases: int,
    seed: int,
    folder: pathlib.Path,
    done: Callable[[str, float], None] = lambda *_: None,
) -> collections.Counter[str]:
    """Run cases, and return the number of each outcome by kind.

    Args:
      done: called after each case with its kind and its seconds.

    Raises:
      BrokenGuaranteeError: if a case failed; the message has its number and kind.
    """
    prepare(folder)
    ends: collections.Counter[str] = collections.Counter()
    for case in range(cases):
        rng = random.Random(f"{seed} {case}")
        kind = rng.choice(["fma", "manifest", "folder", "gtzan"])
        policy = rng.choice(["by_track", "by_artist", "by_clip", "official"])
        dataset = make_case(kind, folder, rng)
        begun = time.perf_counter()
        try:
            with time_limit(), as_nobody():
                end = check_case(dataset, policy, folder / "written" / "rejects.csv")
        except Exception as error:
            raise BrokenGuaranteeError(
                f"case {case} of seed {seed}, {kind}: {error!r:.500}"
            ) from error
        ends[f"{kind}: {end}"] += 1
        done(kind, time.perf_counter() - begun)
    return ends


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    slowest: dict[str, float] = collections.defaultdict(float)

    def note(kind: str, seconds: float) -> None:
        slowest[kind] = max(slowest[kind], seconds)

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        ends = campaign(arguments.cases, arguments.seed, pathlib.Path(folder), note)
        shutil.rmtree(pathlib.Path(folder, "tree"), ignore_errors=True)
    seconds = time.perf_counter() - begun
    for end, number in sorted(ends.items()):
        print(f"{number:7d}  {end}")
    peak = command.peak_bytes() / 2**20
    times = ", ".join(f"{kind} {1000 * worst:.0f} ms" for kind, worst in sorted(slowest.items()))
    print(
        f"{arguments.cases} cases, {arguments.cases / seconds:.0f} a second including setup; "
        f"slowest: {times}; peak memory {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
