"""Run `genreflow run` on real songs mixed with damaged files, and check every reject.

    GENREFLOW_DATA=DIR python -m benchmarks.damaged_corpus [--keep DIR]

DIR holds `gtzan/` and `fma/` (wav and mp3). A manifest lists their songs together with damaged
copies, one for each kind of damage, and a small network is trained. The program prints the run's
output, and for each damaged file the expected reject reason and the one in rejects.csv. It exits
with 1 if they differ or a good song was rejected.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.shared import command

# FMA's names of genres that GTZAN has too. Its one Folk song is closest to country.
FMA_GENRES = {"Hip-Hop": "hiphop", "Folk": "country"}
KEPT = "kept"
CONFIG = """
[dataset]
kind = "manifest"
[models.ffnn]
[training]
epochs = 3
[gate]
floor = 0.0
"""


@dataclasses.dataclass(frozen=True)
class Song:
    """Intact song of the manifest; `artist` is "" if unknown."""

    track_id: str
    path: pathlib.Path
    genre: str
    artist: str = ""


@dataclasses.dataclass(frozen=True)
class Damage:
    """Damaged file, or a bad row of the manifest.

    Attributes:
      name: the file's name below the data folder.
      description: the damage, for the table.
      expected: the expected reject reason, or KEPT.
      make: writes the file; None for a row whose uri is `name`, without a file.
      track_id: None for one made of the name.
    """

    name: str
    description: str
    expected: str
    make: Callable[[pathlib.Path], object] | None
    genre: str = "blues"
    track_id: str | None = None


def good_songs(data: pathlib.Path) -> Iterator[Song]:
    """Yield the songs of both data sets."""
    for path in sorted((data / "gtzan").glob("*/*.wav")):
        yield Song(f"gtzan/{path.stem}", path, path.parent.name)
    with (data / "fma" / "fma_metadata" / "tracks.csv").open(encoding="utf-8", newline="") as rows:
        groups, names, _, *tracks = csv.reader(rows)
    columns = list(zip(groups, names, strict=True))
    genre, artist = columns.index(("track", "genre_top")), columns.index(("artist", "id"))
    for cells in tracks:
        number = f"{int(cells[0]):06d}"
        path = data / "fma" / "fma_small" / number[:3] / f"{number}.mp3"
        if path.is_file():
            yield Song(f"fma/{number}", path, FMA_GENRES[cells[genre]], cells[artist])


def damages(songs: list[Song], outside: pathlib.Path) -> list[Damage]:
    """Return one of each kind of damage, made from the first wav and the first mp3."""
    wav = next(song.path for song in songs if song.path.suffix == ".wav")
    mp3 = next(song.path for song in songs if song.path.suffix == ".mp3")
    sound, rate_hz = soundfile.read(wav, dtype="int16")
    wav_bytes, mp3_bytes = wav.read_bytes(), mp3.read_bytes()
    rng = np.random.default_rng(0)

    def content(data: bytes) -> Callable[[pathlib.Path], object]:
        return lambda path: path.write_bytes(data)

    def audio(samples: npt.NDArray[np.float64], **options: str) -> Callable[[pathlib.Path], object]:
        return lambda path: soundfile.write(path, samples, rate_hz, **options)

    def patched(data: bytes, at: int, value: bytes) -> bytes:
        return data[:at] + value + data[at + len(value) :]

    def flipped(data: bytes, flips: int, first: int) -> bytes:
        changed = bytearray(data)
        for place in rng.integers(first, len(data), flips):
            changed[place] ^= 1 << int(rng.integers(8))
        return bytes(changed)

    def short(data: bytes) -> bytes:
        return data[: len(data) * 2 // 5]

    ogg = io.BytesIO()
    soundfile.write(ogg, sound[::2], rate_hz, format="OGG")
    not_numbers = (sound / 32768).astype(np.float32)
    not_numbers[:: rate_hz // 2] = np.nan
    listed = b"LIST" + struct.pack("<I", 12) + b"INFOINAM" + bytes(4)
    tagged_wav = b"RIFF" + struct.pack("<I", len(wav_bytes) + 12) + wav_bytes[8:] + listed
    tag = b"ID3\x03\0\0\0\0\x7f\x76" + bytes(127 << 7 | 0x76)
    flac = pathlib.Path(outside, "whole.flac")
    soundfile.write(flac, sound, rate_hz)
    # The number of samples is in 36 bits of STREAMINFO.
    endless = patched(flac.read_bytes(), 21, bytes([flac.read_bytes()[21] | 0x0F]) + b"\xff" * 4)
    moved = sound[rate_hz : 20 * rate_hz]
    return [
        Damage("cut.wav", "wav cut at 40 %", "truncated", content(short(wav_bytes))),
        Damage("cut.mp3", "mp3 cut at 40 %", "truncated", content(short(mp3_bytes)), "hiphop"),
        Damage("cut.flac", "FLAC cut at 40 %", "truncated", content(short(flac.read_bytes()))),
        Damage("cut.ogg", "Ogg cut at 40 %: no mark", "truncated", content(short(ogg.getvalue()))),
        Damage(
            "flips.wav",
            "100 bits of a wav's samples flipped",
            KEPT,
            content(flipped(wav_bytes, 100, 100)),
        ),
        Damage(
            "flips.mp3",
            "30 bits of an mp3 flipped",
            KEPT,
            content(flipped(mp3_bytes, 30, 3000)),
            "hiphop",
        ),
        Damage(
            "header flips.wav",
            "the word RIFF flipped",
            "undecodable",
            content(patched(wav_bytes, 0, b"SJGG")),
        ),
        Damage("empty.wav", "no bytes", "empty_file", content(b"")),
        Damage("header.wav", "only the 44-byte header", "truncated", content(wav_bytes[:44])),
        Damage(
            "slow.wav",
            "header says 100 Hz",
            "bad_sample_rate",
            content(patched(wav_bytes, 24, struct.pack("<I", 100))),
        ),
        Damage(
            "fast.wav",
            "header says 44,100, not 22,050 Hz",
            KEPT,
            content(patched(wav_bytes, 24, struct.pack("<I", 44100))),
        ),
        Damage("nan.wav", "NaN twice a second", "not_finite", audio(not_numbers, subtype="FLOAT")),
        Damage(
            "quiet.wav",
            "80 dB below full scale",
            "near_silent",
            audio((sound / 10000).astype(np.int16)),
        ),
        Damage("silence.wav", "30 s of zeros", "near_silent", audio(np.zeros_like(sound))),
        Damage(
            "inverted.wav",
            "stereo, one channel inverted",
            "channels_cancel",
            audio(np.stack([sound // 2, -(sound // 2)], axis=1)),
        ),
        Damage("short.wav", "1.99 s", "too_short", audio(sound[: int(1.99 * rate_hz)])),
        Damage("text.mp3", "text", "undecodable", content(b"these are words, not music\n" * 1000)),
        Damage("copy.wav", "an exact copy", "duplicate", content(wav_bytes)),
        Damage("tagged.wav", "a copy with another tag", "duplicate", content(tagged_wav)),
        Damage(
            "tagged.mp3",
            "a copy with an ID3 tag before it",
            "duplicate",
            content(tag + mp3_bytes),
            "hiphop",
        ),
        Damage("copy.flac", "the wav as FLAC", "duplicate", audio(sound)),
        Damage(
            "a b'c\"d é日本🎷\n.wav",
            "a copy with a hostile name",
            "duplicate",
            content(wav_bytes),
            track_id="z/named",
        ),
        Damage(
            "other é\n.wav", "a song with a hostile name", KEPT, audio(moved), track_id="z/renamed"
        ),
        Damage(
            "line\nbreak.wav",
            "the same without a track id",
            "bad_metadata",
            audio(sound[::2]),
            track_id="",
        ),
        Damage(
            "out.wav",
            "a link out of the folder",
            "outside_root",
            lambda path: path.symlink_to(flac),
        ),
        Damage(
            "loop.wav", "a link to itself", "missing_file", lambda path: path.symlink_to(path.name)
        ),
        Damage("pipe.wav", "a named pipe", "missing_file", lambda path: os.mkfifo(path)),
        Damage("folder.wav", "a folder", "missing_file", lambda path: path.mkdir()),
        Damage("gone.wav", "listed but missing", "missing_file", None),
        Damage("../../etc/passwd", "listed, outside the folder", "outside_root", None),
        Damage("https://example.org/x.mp3", "a web address", "bad_metadata", None),
        Damage("endless.flac", "a copy, length unknown", "duplicate", content(endless)),
        Damage(
            "endless.wav",
            "a copy, length unknown",
            "duplicate",
            content(patched(wav_bytes, 40, b"\xf0\xff\xff\xff")),
        ),
        Damage("unlabelled.wav", "no genre", "no_genre", audio(sound[rate_hz:]), genre=""),
        Damage(
            "same id.wav",
            "another track's id",
            "bad_metadata",
            audio(sound[::3]),
            track_id="gtzan/blues.00000",
        ),
    ]


def write_corpus(songs: list[Song], bad: list[Damage], root: pathlib.Path) -> dict[str, Damage]:
    """Write all files and the manifest. Return the damages by uri."""
    of_uri: dict[str, Damage] = {}
    rows = []
    for song in songs:
        target = root / "songs" / song.genre / song.path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(song.path, target)
        rows.append([str(target.relative_to(root)), song.genre, song.track_id, song.artist])
    (root / "z").mkdir()
    for damage in bad:
        uri = damage.name if damage.make is None else f"z/{damage.name}"
        if damage.make:
            damage.make(root / uri)
        track_id = f"z/{damage.name}" if damage.track_id is None else damage.track_id
        rows.append([uri, damage.genre, track_id, ""])
        of_uri[uri] = damage
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["uri", "genre", "track_id", "artist_id"], *rows])
    return of_uri


def report(
    of_uri: dict[str, Damage], songs: list[Song], root: pathlib.Path, work: pathlib.Path
) -> bool:
    """Print the table. Return whether every file ended as expected."""
    from components.common.escape import printable_cell

    with (work / "rejects.csv").open(encoding="utf-8", newline="") as rows:
        rejects = {row["uri"]: row for row in csv.DictReader(rows)}
    as_expected = True
    print(f"{'file':42} {'damage':36} {'expected':16} {'found':16} detail")
    for uri, damage in of_uri.items():
        whole = uri if "://" in uri else os.path.normpath(os.path.join(root, uri))
        row = rejects.pop(printable_cell(whole), None)
        found, detail = (row["reason"], row["detail"]) if row else (KEPT, "")
        mark = "" if found == damage.expected else "   <-- differs"
        as_expected &= not mark
        name = printable_cell(uri)[:42]
        print(
            f"{name:42} {damage.description:36} {damage.expected:16} {found:16} {detail[:70]}{mark}"
        )
    for row in rejects.values():
        print(f"rejected a good song: {row['track_id']}: {row['reason']} ({row['detail']})")
    counts = json.loads((work / "results.json").read_text(encoding="utf-8"))["counts"]
    kept = sum(damage.expected == KEPT for damage in of_uri.values())
    print(
        f"{len(songs)} good songs, {len(songs) - len(rejects)} of them read; "
        f"{len(of_uri)} damaged or odd files, {kept} of them expected to be read; "
        f"results.json: {counts['tracks_listed']} listed, {counts['tracks_read']} read, "
        f"rejected: {counts['rejects']}"
    )
    return as_expected and not rejects and counts["tracks_read"] == len(songs) + kept


def main() -> int:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--keep", type=pathlib.Path, help="work folder, kept afterwards")
    arguments = parser.parse_args()
    data = command.data_folder(file="gtzan/manifest.csv").resolve()
    songs = list(good_songs(data))
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or pathlib.Path(temporary)).resolve()
        root, outside = folder / "data", folder / "outside"
        root.mkdir(parents=True)
        outside.mkdir()
        of_uri = write_corpus(songs, damages(songs, outside), root)
        (folder / "damaged.toml").write_text(CONFIG)
        work = folder / "work"
        subprocess.run(
            [command.GENREFLOW, "run", "-c", folder / "damaged.toml", "-d", root, "-w", work],
            check=True,
        )
        return 0 if report(of_uri, songs, root, work) else 1


if __name__ == "__main__":
    sys.exit(main())
