"""Published archives of music: where they are, their checksums and licences, what is in them."""

from __future__ import annotations

import dataclasses

GIB = 1 << 30

_FMA_LICENCE = (
    "audio under the Creative Commons licence that each artist chose, for research "
    "(https://github.com/mdeff/fma)"
)


@dataclasses.dataclass(frozen=True)
class Archive:
    """Published archive.

    Attributes:
      name: what users call it.
      urls: where it is; the first one that works counts.
      checksum: ALGORITHM:HEX of the file, as published.
      size_bytes: of the file, about; the server tells it exactly.
      unpacked_bytes: of its content, about.
      folder: the only folder at its top.
      licence: of its content.
      needs: archives without which it cannot be read.
      config: configuration to run with, and what to add to it.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    size_bytes: int
    unpacked_bytes: int
    folder: str
    licence: str
    needs: tuple[str, ...] = ()
    config: str = ""

    @property
    def file_name(self) -> str:
        """Name of the file, the last part of its URLs."""
        return self.urls[0].rpartition("/")[2]


def _fma(name: str, sha1: str, gib: float, **more: str) -> Archive:
    return Archive(
        name,
        (f"https://os.unil.cloud.switch.ch/fma/{name}.zip",),
        f"sha1:{sha1}",
        size_bytes=round(gib * GIB),
        # mp3s do not shrink.
        unpacked_bytes=round(gib * GIB),
        folder=name,
        licence=_FMA_LICENCE,
        needs=("fma_metadata",),
        **more,
    )


# The checksums of FMA are those of https://github.com/mdeff/fma, that of GTZAN is torchaudio's.
ARCHIVES = {
    archive.name: archive
    for archive in (
        Archive(
            "fma_metadata",
            ("https://os.unil.cloud.switch.ch/fma/fma_metadata.zip",),
            "sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
            size_bytes=342 << 20,
            unpacked_bytes=1400 << 20,
            folder="fma_metadata",
            licence="metadata under CC BY 4.0 (https://github.com/mdeff/fma)",
        ),
        _fma("fma_small", "ade154f733639d52e35e32f5593efe5be76c6d70", 7.2, config="fma_small"),
        _fma("fma_medium", "c67b69ea232021025fca9231fc1c7c1a063ab50b", 22, config="fma_medium"),
        _fma(
            "fma_large",
            "497109f4dd721066b5ce5e5f250ec604dc78939e",
            93,
            config="fma_medium --set dataset.fma_subset=large",
        ),
        Archive(
            "gtzan",
            (
                "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
                "http://opihi.cs.uvic.ca/sound/genres.tar.gz",
            ),
            "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
            size_bytes=1169 << 20,
            unpacked_bytes=1270 << 20,
            folder="genres",
            licence=(
                "copyrighted songs without a licence, collected by G. Tzanetakis for research; "
                "some are repeated or mislabelled"
            ),
            config="gtzan",
        ),
    )
}


def with_needed(name: str) -> list[Archive]:
    """Return the archive of a name after those that it needs.

    Raises:
      KeyError: there is no such archive.
    """
    archive = ARCHIVES[name]
    return [*(ARCHIVES[needed] for needed in archive.needs), archive]
