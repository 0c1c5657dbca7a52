"""Comparison of the candidate with the serving model, on tracks that the latter has not seen."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import tensorflow as tf

from components.common.errors import DataError
from components.common.escape import printable
from components.common.model_contract import SERVING_DEFAULT, SERVING_EXAMPLES
from components.export.assets import (
    ModelIdentity,
    read_identity,
    read_seen_tracks,
    signature_problem,
    track_digest,
)
from components.gate.by_sound import predict_songs
from components.gate.comparison import Comparison, compare
from components.gate.hearing import Listening
from components.gate.scores import Scores, read_scores
from components.predictions import table
from components.predictions.correctness import correctness_by_track
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
    clip_seconds: float,
    listening: Listening,
    resamples: int,
    advance: Callable[[int], None],
) -> Comparison | str:
    """Compare the candidate with the serving model.

    A serving model of the same audio parameters predicts the examples. Any other one predicts the
    same seconds of the same songs from their files. A defect of the serving model, or a file that
    is gone, is not an error. It is the reason why a rule fails.

    Args:
      scores: the candidate's on the test split.
      name: the candidate's name in `scores`.
      candidate: its identity.
      saved_model: folder of the serving model.
      version: its version, for the text.
      examples_uri: root of the Examples artifact whose test split `scores` is for.
      clip_seconds: length of the examples' clips.
      listening: how to read audio files.
      resamples: number of bootstrap resamples.
      advance: called with the number of clips predicted since the last call.

    Returns:
      The comparison, or the reason why the two models cannot be compared.

    Raises:
      StorageError: an object store cannot be read.
      DecoderUnavailableError: the decoding process cannot be started.
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
    same_audio = serving.audio_hash == candidate.audio_hash
    signature = SERVING_EXAMPLES if same_audio else SERVING_DEFAULT
    problem = signature_problem(saved_model, signature, len(candidate.genres))
    if problem:
        return f"{other} {problem}"
    unseen = np.array([track_digest(track) not in seen for track in scores.track_ids])
    if not unseen.any():
        return f"{other} was trained or chosen on all {len(unseen)} test tracks"
    tracks = {one for one, new in zip(scores.track_ids, unseen, strict=True) if new}
    words: list[str] = []
    what = "these examples" if same_audio else "the test tracks by their sound"
    try:
        if same_audio:
            theirs = _by_examples(saved_model, examples_uri, candidate, advance)
        else:
            theirs, words = _by_sound(
                saved_model, examples_uri, tracks, serving, clip_seconds, listening, advance
            )
    except (tf.errors.OpError, FileNotFoundError, DataError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{other} cannot predict {what} ({printable(reason)})"
    if not unseen.all():
        words.append(f"has seen the other {int((~unseen).sum())}")
    compared = [
        index for index, one in enumerate(scores.track_ids) if one in tracks and one in theirs
    ]
    return compare(
        f"{other}, which {', '.join(words)}" if words else other,
        scores.correctness[name][compared],
        np.array([theirs[scores.track_ids[index]] for index in compared]),
        scores.groups[compared],
        resamples=resamples,
    )


def _by_examples(
    saved_model: str, examples_uri: str, candidate: ModelIdentity, advance: Callable[[int], None]
) -> dict[str, float]:
    """Return the serving model's correctness on each test track, by the examples."""
    clips, probabilities = predict_split(saved_model, examples_uri, table.TEST, advance)
    rows = table.make_table(NAME, table.TEST, clips, probabilities, candidate.genres)
    theirs = read_scores(rows, clips, candidate.genres, [NAME])
    return dict(zip(theirs.track_ids, theirs.correctness[NAME], strict=True))


def _by_sound(
    saved_model: str,
    examples_uri: str,
    tracks: Collection[str],
    serving: ModelIdentity,
    clip_seconds: float,
    listening: Listening,
    advance: Callable[[int], None],
) -> tuple[dict[str, float], list[str]]:
    """Return the serving model's correctness on each track that it can hear, and how it heard."""
    heard = predict_songs(
        saved_model,
        examples_uri,
        tracks,
        model_name=NAME,
        clip_seconds=clip_seconds,
        serving=serving,
        listening=listening,
        advance=advance,
    )
    shape = heard.shape
    words = [
        f"heard the same seconds of each song in clips of {shape.clip_seconds:g} s at "
        f"{shape.sample_rate_hz} Hz"
    ]
    words += [f"cannot hear {number} ({why})" for why, number in sorted(heard.unheard.items())]
    found = correctness_by_track(heard.rows, serving.genres)
    return dict(zip(found["track_id"], found["correctness"], strict=True)), words
