"""Comparison of the candidate with the serving model, on tracks that the latter has not seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.common.errors import DataError
from components.common.escape import printable
from components.common.model_contract import SERVING_EXAMPLES
from components.export.assets import (
    ModelIdentity,
    read_identity,
    read_seen_tracks,
    signature_problem,
    track_digest,
)
from components.gate.comparison import Comparison, compare
from components.gate.scores import Scores, read_scores
from components.predictions import table
from components.predictions.predict import predict_split

NAME = "the serving model"


def compare_with_serving(
    scores: Scores,
    name: str,
    candidate: ModelIdentity,
    *,
    saved_model: str,
    version: str,
    examples_uri: str,
    resamples: int,
    advance: Callable[[int], None],
) -> Comparison | str:
    """Compare the candidate with the serving model.

    A defect of the serving model is not an error. It is the reason why a rule fails.

    Args:
      scores: the candidate's on the test split.
      name: the candidate's name in `scores`.
      candidate: its identity.
      saved_model: folder of the serving model.
      version: its version, for the text.
      examples_uri: root of the Examples artifact whose test split `scores` is for.
      resamples: number of bootstrap resamples.
      advance: called with the number of clips predicted since the last call.

    Returns:
      The comparison, or the reason why the two models cannot be compared.
    """
    other = f"{NAME} (version {printable(version)})" if version else NAME
    try:
        serving = read_identity(saved_model)
        seen = read_seen_tracks(saved_model)
    except DataError as error:
        return f"{other} cannot be identified ({printable(str(error))})"
    if serving.digest == candidate.digest:
        ours = scores.correctness[name]
        return compare(other, ours, ours, scores.groups, resamples=resamples)
    if serving.genres != candidate.genres:
        listed = ", ".join(map(printable, serving.genres))
        return f"{other} has other genres ({listed})"
    if serving.audio_hash != candidate.audio_hash:
        return f"{other} has other audio parameters ({printable(serving.audio_hash)})"
    problem = signature_problem(saved_model, SERVING_EXAMPLES, len(candidate.genres))
    if problem:
        return f"{other} {problem}"
    unseen = np.array([track_digest(track) not in seen for track in scores.track_ids])
    if not unseen.any():
        return f"{other} was trained or chosen on all {len(unseen)} test tracks"
    try:
        clips, probabilities = predict_split(saved_model, examples_uri, table.TEST, advance)
        rows = table.make_table(NAME, table.TEST, clips, probabilities, candidate.genres)
    except (tf.errors.OpError, FileNotFoundError, DataError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{other} cannot predict these examples ({printable(reason)})"
    theirs = read_scores(rows, clips, candidate.genres, [NAME])
    if not unseen.all():
        other += f", which has seen the other {int((~unseen).sum())}"
    return compare(
        other,
        scores.correctness[name][unseen],
        theirs.correctness[NAME][unseen],
        scores.groups[unseen],
        resamples=resamples,
    )
