"""`genreflow download`: public data sets and published weights."""

from __future__ import annotations

import difflib
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.errors import UsageError
from genreflow.cli import completion
from genreflow.cli.exit import command
from genreflow.cli.help import DATA, shown
from genreflow.cli.places import check_folder
from genreflow.cli.quiet import quiet_stderr

if TYPE_CHECKING:
    from components.datasets.downloads.archives import Archive
    from pipeline.display.progress import RunDisplay

# For what is left on the disk besides.
_MARGIN_BYTES = 100_000_000


@shown(
    DATA,
    "genreflow download fma_small ~/music/fma",
    "genreflow download weights musicnn",
)
@command
def download(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME... DEST | weights NETWORK...",
            help="fma_small, fma_medium, fma_large (with fma_metadata, which they need), "
            "fma_metadata or gtzan, and the folder to put them into; or the networks whose "
            "published weights to get.",
            show_default=False,
            autocompletion=completion.downloads,
        ),
    ],
    mirror: Annotated[
        str, typer.Option(metavar="URL", help="Folder of a web server that has the files, too.")
    ] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the archives after unpacking.")
    ] = False,
) -> int:
    """Download public data sets, or published weights.

    Downloads go on where they broke off, and are checked against the published checksums.
    """
    if what[0] == "weights":
        return _download_weights(what[1:])
    from components.datasets.downloads.archives import ARCHIVES, with_needed
    from genreflow.suggested import line_of

    *names, destination = what
    if not names or destination in ARCHIVES:
        raise UsageError(
            f"name the folder to put {' and '.join(what)} into: {line_of('download', *what)} FOLDER"
        )
    _check_names(names, [*ARCHIVES, "weights"], "data set")
    check_folder(destination, " and ".join(names))
    if mirror and not mirror.startswith(("http://", "https://")):
        raise UsageError(f"--mirror {mirror}: must be a URL that begins with http:// or https://")
    archives = {one.name: one for name in names for one in with_needed(name)}
    return _download_archives(list(archives.values()), pathlib.Path(destination), mirror, keep)


def _download_archives(
    archives: Sequence[Archive], folder: pathlib.Path, mirror: str, keep: bool
) -> int:
    from components.datasets.downloads.fetch import fetch
    from components.datasets.downloads.unpack import remove_leftovers, unpack
    from genreflow.suggested import Typed
    from pipeline.display.progress import RunDisplay

    missing = [archive for archive in archives if not (folder / archive.folder).exists()]
    for archive in archives:
        if archive not in missing:
            typer.echo(f"{folder / archive.folder} is there already")
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        for archive in missing:
            remove_leftovers(folder / archive.folder)
        _check_disk(folder, missing, keep)
    for archive in missing:
        place = mirror or archive.urls[0].rpartition("/")[0]
        typer.echo(f"{archive.name}: {_size(archive.size_bytes)} from {place}")
        typer.echo(f"  {archive.licence}")
        with quiet_stderr() as console, RunDisplay(console) as display:
            display.begin(f"Downloading {archive.file_name}")
            path = pathlib.Path(fetch(archive, folder, _advance(display), mirror))
            display.begin(f"Unpacking {archive.file_name}")
            unpack(path, archive.folder, folder / archive.folder, _advance(display))
        if not keep:
            path.unlink()
        typer.echo(f"  made {folder / archive.folder}")
    for archive in archives:
        if archive.config:
            typer.echo(f"next: {Typed(archive.config, str(folder)).line('run')}")
    return 0


def _download_weights(networks: Sequence[str]) -> int:
    from components.models import architectures
    from genreflow.suggested import line_of

    published = [name for name, network in architectures.NETWORKS.items() if network.published]
    if not networks:
        line = line_of("download", "weights", *published)
        raise UsageError(f"name the networks: {line}")
    _check_names(networks, published, "network with published weights")
    from components.models.weights import obtain

    for network in networks:
        for weights in architectures.of_name(network).published:
            with quiet_stderr():
                path = obtain(weights, architecture=network)
            typer.echo(f'{path}\n  models.{network}.weights = "{weights}" uses it')
    return 0


def _check_names(names: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
            raise UsageError(f"{name}: there is no {what} of this name{hint}")


def _check_disk(folder: pathlib.Path, archives: Sequence[Archive], keep: bool) -> None:
    """Raise UsageError if the archives and their contents do not fit on the disk."""
    sizes = [archive.size_bytes for archive in archives]
    there = sum(
        path.stat().st_size
        for archive in archives
        for path in folder.glob(f"{archive.file_name}*")
        if path.is_file()
    )
    needed = sum(archive.unpacked_bytes for archive in archives)
    needed += (sum(sizes) if keep else max(sizes)) - there + _MARGIN_BYTES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{os.path.abspath(folder)}: {_size(needed)} are needed for the archives and what is "
            f"in them, but only {_size(free)} are free; choose a folder on a larger disk"
        )


def _advance(display: RunDisplay) -> Callable[[int, int], None]:
    def advance(done: int, total: int) -> None:
        event: dict[str, Any] = {"event": "progress", "stage": "download", "done": done // 10**6}
        if total:
            event["total"] = -(-total // 10**6)
        display(event)

    return advance


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
