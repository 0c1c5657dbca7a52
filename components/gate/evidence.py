"""What the gate reads of other components' artifacts, and what it does not believe.

Everything here is checked against what it must agree with: a file of another run is an
error, not a wrong decision.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from components.artifacts import files as artifact_files
from components.artifacts.names import BASELINES_JSON, SELECTION_JSON
from components.common.errors import DataError
from components.common.escape import printable
from components.examples import parser, reader, schema
from components.gate.model_digest import read_model_digest
from components.gate.scores import CLIP_KEYS, TEST
from components.storage.errors import ObjectMissing

SIGNATURE = "serving_examples"
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """What an exported model says of itself."""

    digest: str
    audio_hash: str
    genres: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Selection:
    """What the gate needs of selection.json: the candidate, and whom to compare it with.

    `best_baseline` is None where no baselines were trained; `models` are all names.
    """

    candidate: str
    candidate_digest: str
    best_baseline: str | None
    models: frozenset[str]
    genres: tuple[str, ...]
    audio_hash: str


def read_model(saved_model: str) -> ExportedModel:
    """The identity of an exported model; see components/trainer/export.py.

    Raises:
      DataError: an asset is missing or damaged.
    """
    assets = os.path.join(saved_model, "assets")
    genres = _read_json(os.path.join(assets, "genres.json"))
    params = _read_json(os.path.join(assets, "audio_params.json"))
    if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
        raise DataError(f"{assets}/genres.json: not a list of genres")
    if not isinstance(params, dict) or not isinstance(params.get("digest"), str):
        raise DataError(f"{assets}/audio_params.json: no digest in it")
    return ExportedModel(read_model_digest(saved_model), params["digest"], tuple(genres))


def read_selection(uri: str) -> Selection:
    """`selection.json` of the Ensembler's predictions.

    Raises:
      DataError: it is missing, damaged, or lacks what the gate needs.
    """
    path = os.path.join(uri, SELECTION_JSON)
    found = _read_json(path)
    try:
        selection = Selection(
            candidate=found["candidate"],
            candidate_digest=found["candidate_digest"],
            best_baseline=found["best_baseline"],
            models=frozenset(found["kinds"]),
            genres=tuple(found["genres"]),
            audio_hash=found["audio_hash"],
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not a selection of this version ({error}); run again") from error
    for name in filter(None, (selection.candidate, selection.best_baseline)):
        if name not in selection.models:
            raise DataError(f"{path}: {printable(str(name))} is not among the models that it lists")
    return selection


def check_selection(
    selection: Selection, candidate: ExportedModel, architecture: str, genres: Sequence[str]
) -> None:
    """Raises DataError unless the predictions, the candidate and the run belong together."""
    run = tuple(genres)
    if selection.genres != run or candidate.genres != run:
        raise DataError(
            f"genres differ: the run's are {_listed(run)}, the predictions' "
            f"{_listed(selection.genres)}, the candidate's {_listed(candidate.genres)}; "
            "run it again"
        )
    if selection.candidate_digest != candidate.digest or selection.candidate != architecture:
        raise DataError(
            f"the predictions chose {printable(selection.candidate)} with digest "
            f"{printable(selection.candidate_digest)}, the candidate is {printable(architecture)} "
            f"with {printable(candidate.digest)}: they are another run's; run it again"
        )


def read_baselines_hash(uri: str) -> str:
    """The hash of the audio parameters that the baselines were trained with."""
    path = os.path.join(uri, BASELINES_JSON)
    found = _read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("audio_hash"), str):
        raise DataError(f"{path}: no audio_hash in it")
    return str(found["audio_hash"])


def read_test_clips(examples_uri: str) -> pd.DataFrame:
    """The clips of the test split: track_id, artist_id, clip_index, label; a row a clip.

    Raises:
      DataError: there are none, or a file cannot be read.
    """
    files = reader.find([os.path.join(glob.escape(examples_uri), f"Split-{TEST}", "*")])
    frames = []
    with reader.readable(files):
        for batch in reader.blocks(files).rebatch(_BATCH).prefetch(2):
            parsed = parser.parse_keys(batch)
            frames.append(pd.DataFrame({name: parsed[name].numpy() for name in CLIP_KEYS}))
    if not frames:
        raise DataError(f"the test split has no clips: {files}")
    clips = pd.concat(frames, ignore_index=True)
    for name in (schema.TRACK_ID, schema.ARTIST_ID):
        clips[name] = clips[name].str.decode("utf-8")
    return clips


def signature_problem(saved_model: str, genres: int) -> str | None:
    """Why a model cannot predict examples for so many genres, in words; None if it can.

    Read from the file: nothing of the model is run.
    """
    path = os.path.join(saved_model, "saved_model.pb")
    try:
        saved = saved_model_pb2.SavedModel.FromString(artifact_files.read_bytes(path))
    except (FileNotFoundError, ObjectMissing, DecodeError):
        return "no SavedModel that can be read"
    signatures: Mapping[str, Any] = saved.meta_graphs[0].signature_def if saved.meta_graphs else {}
    if SIGNATURE not in signatures:
        return f"no signature {SIGNATURE}"
    signature = signatures[SIGNATURE]
    if "examples" not in signature.inputs or "probabilities" not in signature.outputs:
        return f"a signature {SIGNATURE} that does not turn examples into probabilities"
    shape = [side.size for side in signature.outputs["probabilities"].tensor_shape.dim]
    if len(shape) != 2 or shape[1] not in (-1, genres):
        return f"a signature {SIGNATURE} that returns {shape} and not {genres} probabilities"
    return None


def _read_json(path: str) -> Any:
    try:
        return json.loads(artifact_files.read_text(path))
    except (FileNotFoundError, ObjectMissing) as error:
        raise DataError(f"{path}: not there; run again") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); run again") from error


def _listed(genres: Sequence[str]) -> str:
    return ", ".join(map(printable, genres))
