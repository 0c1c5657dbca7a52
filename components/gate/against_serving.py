"""The candidate against the model that serves, on test tracks which that one never saw."""

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
    """Compares, or says why the model that serves cannot be compared with.

    Whatever is wrong with that model is no error: it is the reason why a rule fails, and
    the run goes on.

    Args:
      scores: of the candidate on the test split.
      name: the candidate's there.
      candidate: what it is.
      saved_model: folder of the model that serves.
      version: its version, for the text.
      examples_uri: root of the Examples artifact whose test split `scores` is of.
      resamples: how often groups are drawn.
      advance: called with the number of clips predicted since the last call.
    """
    other = f"{NAME} (version {printable(version)})" if version else NAME
    try:
        serving = read_identity(saved_model)
        seen = read_seen_tracks(saved_model)
    except DataError as error:
        return f"{other} does not say what it is ({printable(str(error))})"
    if serving.digest == candidate.digest:
        ours = scores.right[name]
        return compare(other, ours, ours, scores.groups, resamples=resamples)
    if serving.genres != candidate.genres:
        listed = ", ".join(map(printable, serving.genres))
        return f"{other} knows other genres ({listed})"
    if serving.audio_hash != candidate.audio_hash:
        return f"{other} hears with other audio parameters ({printable(serving.audio_hash)})"
    problem = signature_problem(saved_model, SERVING_EXAMPLES, len(candidate.genres))
    if problem:
        return f"{other} {problem}"
    unseen = np.array([track_digest(track) not in seen for track in scores.track_ids])
    if not unseen.any():
        return f"{other} was trained or chosen on every one of the {len(unseen)} test tracks"
    try:
        clips, probabilities = predict_split(saved_model, examples_uri, table.TEST, advance)
        rows = table.make_table(NAME, table.TEST, clips, probabilities, candidate.genres)
    except (tf.errors.OpError, FileNotFoundError, DataError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{other} cannot predict these examples ({printable(reason)})"
    theirs = read_scores(rows, clips, candidate.genres, [NAME])
    if not unseen.all():
        other += f", which saw the other {int((~unseen).sum())}"
    return compare(
        other,
        scores.right[name][unseen],
        theirs.right[NAME][unseen],
        scores.groups[unseen],
        resamples=resamples,
    )
