"""Checks that the gate's inputs belong to one run; files of another run are errors."""

from __future__ import annotations

from collections.abc import Sequence

from components.artifacts import files as artifact_files
from components.artifacts.names import BASELINES_JSON
from components.common.errors import DataError
from components.common.escape import printable
from components.export.assets import ModelIdentity
from components.predictions.selection import Selection


def check_one_run(
    selection: Selection, candidate: ModelIdentity, architecture: str, genres: Sequence[str]
) -> None:
    """Check that the predictions, the candidate and the run belong together.

    Args:
      selection: the Ensembler's choice, written with the predictions.
      candidate: identity of the model that may be blessed.
      architecture: its name in the run's metadata.
      genres: the run's, in label order.

    Raises:
      DataError: genres, names or digests differ.
    """
    run = tuple(genres)
    if selection.genres != run or candidate.genres != run:
        raise DataError(
            f"genres differ: the run's are {_listed(run)}, the predictions' "
            f"{_listed(selection.genres)}, the candidate's {_listed(candidate.genres)}; rerun "
            "the pipeline"
        )
    if selection.candidate_digest != candidate.digest or selection.candidate != architecture:
        raise DataError(
            f"the predictions chose {printable(selection.candidate)} with digest "
            f"{printable(selection.candidate_digest)}, but the candidate is "
            f"{printable(architecture)} with digest {printable(candidate.digest)}: the predictions "
            "are from another run; rerun the pipeline"
        )


def read_baselines_hash(uri: str) -> str:
    """Return the hash of the audio parameters that the baselines were trained with.

    Args:
      uri: of the BaselineModels artifact.

    Raises:
      DataError: baselines.json is missing or damaged.
    """
    found = artifact_files.read_json(uri, BASELINES_JSON)
    if not isinstance(found, dict) or not isinstance(found.get("audio_hash"), str):
        raise DataError(f"{uri}/{BASELINES_JSON}: no audio_hash; rerun the pipeline")
    return str(found["audio_hash"])


def _listed(genres: Sequence[str]) -> str:
    return ", ".join(map(printable, genres))
