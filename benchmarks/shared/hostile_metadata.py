"""Hostile data sets for fuzz_metadata: damaged CSV files, trees of every kind of file and name."""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket

# One case in GIANT_ONE_IN holds a field of this size, which takes a second to read.
GIANT_FIELD_BYTES, GIANT_ONE_IN = 100 << 20, 1000
DEEP_LEVELS, DEEP_ONE_IN = 260, 60

NASTY = (
    "a b", "a'b", 'a"b', "a\nb", "a\rb", "a\tb", "é", "e\u0301", "日本", "🎷", "\u202eabc",
    "a\u2028b", "\x1b[2J", "\x1b]0;t\x07", "\x9b31m", "\x00", "\x7f", "=1+1", "@x", "-x", "+x",
    "%s", "{0}", "[red]", "..", ".", "../..", "/", "//", "~", "CON", "a" * 300, "a/" * 3000,
    "/etc/passwd", "s3://b/k", "http://x/y.mp3", "file:///etc/passwd", "\udcff", " ", "", "None",
    "nan", "\ufeff", "\u200b",
)  # fmt: skip
NUMBERS = (
    "-1", "0", "007", "1e9", "1.0", "9" * 9, "9" * 10, "9" * 5000, "٣", "²", "+1", " 1", "1 ",
    "0x1", "1_0",
)  # fmt: skip
GENRES = ("Folk", "Rock", "Hip-Hop")
ROWS = 14


def fma_rows() -> list[list[str]]:
    header = [
        ["", "artist", "artist", "set", "set", "track", "track"],
        ["", "id", "name", "split", "subset", "genre_top", "title"],
        ["track_id", "", "", "", "", "", ""],
    ]
    splits = ("training", "training", "validation", "test")
    return header + [
        [str(i), str(i // 2), f"Artist {i}", splits[i % 4], "small", GENRES[i % 3], f"Song {i}"]
        for i in range(ROWS)
    ]


def manifest_rows() -> list[list[str]]:
    return [["uri", "genre", "track_id", "artist_id", "split"]] + [
        [
            f"fma_small/000/{i:06d}.mp3",
            GENRES[i % 3],
            f"t{i}",
            f"a{i // 2}",
            ("train", "test")[i % 2],
        ]
        for i in range(ROWS)
    ]


def damage_rows(rows: list[list[str]], rng: random.Random) -> None:
    """Make one change to cells, rows or columns."""
    row = rows[rng.randrange(len(rows))]
    column = rng.randrange(len(rows[0]))
    match rng.randrange(9):
        case 0 | 1 | 2 if row:
            row[rng.randrange(len(row))] = rng.choice(NASTY + NUMBERS)
        case 3:
            del row[rng.randrange(len(row) + 1) :]
        case 4:
            row += [rng.choice(NASTY)] * rng.choice([1, 2, 1000])
        case 5:  # a column missing, twice or moved
            for cells in rows:
                if column < len(cells):
                    cell = cells.pop(column)
                    if column % 3:
                        cells.insert(rng.randrange(len(cells) + 1) if column % 2 else 0, cell)
                        cells.append(cell)
        case 6:
            rows.insert(rng.randrange(len(rows)), list(rng.choice(rows)))
        case 7:
            del rows[rng.randrange(len(rows))]
        case _:
            rng.shuffle(rows)


def damage_bytes(data: bytearray, rng: random.Random) -> bytes:
    """Return the bytes after one change below the level of cells."""
    at = rng.randrange(len(data) + 1)
    match rng.randrange(9):
        case 0:
            del data[at:]
        case 1:
            for _ in range(rng.choice([1, 20])):
                if data:
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            data[at:at] = rng.choice([b"\0", b"\0" * 100, b'"', b'""', b"\r", b"\x1a", b"\xff"])
        case 3:
            return (
                bytes(data)
                .decode("utf-8", "surrogateescape")
                .encode(
                    rng.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp037"]),
                    "replace",
                )
            )
        case 4:
            return bytes(data).replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b"\0"]))
        case 5:
            return bytes(data).replace(b",", rng.choice([b";", b"\t", b",,", b", "]))
        case 6:
            data[at:at] = rng.randbytes(rng.choice([1, 50, 5000]))
        case 7:
            data[:0] = rng.choice(
                [b"\xef\xbb\xbf" * 2, b"\n" * 50, b"PK\x03\x04", b"#", b"\xff\xfe"]
            )
        case _:
            data[at:at] = data[: rng.randrange(len(data) + 1)]
    return bytes(data)


def csv_case(rows: list[list[str]], rng: random.Random) -> bytes:
    """Return a CSV file of some rows after random damage."""
    if rng.randrange(GIANT_ONE_IN) == 0:
        filling = rng.choice([b"x", b"x,", b'"\n",', b"a/", "é🎷".encode()])
        rows[rng.randrange(len(rows))][0] = "GIANT"
        giant = filling * (GIANT_FIELD_BYTES // len(filling))
        return encode(rows).replace(b"GIANT", giant)
    for _ in range(rng.randrange(3)):
        damage_rows(rows, rng)
    data = encode(rows)
    return damage_bytes(bytearray(data), rng) if rng.random() < 0.6 else data


def encode(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    # Not by the csv module, which refuses cells that it could not read back.
    for cells in rows:
        quoted = ['"' + c.replace('"', '""') + '"' if set(c) & set('",\r\n') else c for c in cells]
        out.write(",".join(quoted) + "\r\n")
    return out.getvalue().encode("utf-8", "surrogateescape")


def tree_case(root: str, outside: str, rng: random.Random) -> None:
    """Fill `root`, an empty folder, with genre folders and hostile files."""
    folders = [os.fsencode(root)]
    for genre in GENRES[: rng.choice([0, 2, 3])]:  # intact files must still be read
        folders.append(os.path.join(folders[0], os.fsencode(genre)))
        os.mkdir(folders[-1])
        for index in range(4):
            with open(os.path.join(folders[-1], b"%d.wav" % index), "xb") as out:
                out.write(b"x")
    for _ in range(rng.randrange(1, 14)):
        name = os.fsencode(_name(rng)) + rng.choice([b"", b".mp3", b".WAV", b".m4a", b".mp3.wav"])
        path = os.path.join(rng.choice(folders), name)
        with contextlib.suppress(OSError, ValueError):  # the file system may reject the name
            _make(path, folders, os.fsencode(outside), rng)
    if rng.randrange(DEEP_ONE_IN) == 0:
        _make_deep(os.fsencode(root), rng)


def _name(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(GENRES) + str(rng.randrange(3))
    return rng.choice(NASTY)


def _make(path: bytes, folders: list[bytes], outside: bytes, rng: random.Random) -> None:
    match rng.randrange(13):
        case 0 | 1 | 2 | 3:
            os.mkdir(path)
            folders.append(path)
        case 4 | 5 | 6:
            with open(path, "xb") as out:
                out.write(b"x" * rng.randrange(2))
        case 7:
            os.symlink(
                rng.choice([outside, path, b".", b"..", b"/", b"nowhere", folders[-1]]), path
            )
        case 8:
            os.symlink(os.path.join(outside, b"song.mp3"), path)
        case 9:
            os.mkfifo(path)
        case 10:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
        case 11:
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero; needs root
        case _:
            os.mkdir(path)
            with open(os.path.join(path, b"song.mp3"), "xb") as out:
                out.write(b"x")
            os.chmod(path, rng.choice([0, 0o400, 0o100]))


def _make_deep(root: bytes, rng: random.Random) -> None:
    """Make nested folders, some deeper than the longest path, with files at every fifth level."""
    name = b"d" * rng.choice([1, 12, 250])
    folder = os.open(root, os.O_RDONLY)
    for level in range(DEEP_LEVELS if len(name) < 250 else 20):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
        if level % 5 == 0:
            os.close(os.open(b"s.mp3", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
