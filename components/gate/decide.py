"""All rules on what was read. No TFX, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.common.escape import printable
from components.ensemble.members import ALL
from components.gate import rules
from components.gate.comparison import Comparison, compare
from components.gate.outcome import Decision
from components.gate.scores import Scores
from components.gate.settings import GateSettings
from components.predictions import resampling


def decide(
    settings: GateSettings,
    genres: Sequence[str],
    scores: Scores,
    candidate: str,
    *,
    best_baseline: str | None,
    against_serving: Comparison | str | None,
    audio_hashes: Mapping[str, str],
    candidate_digest: str,
    serving_digest: str | None,
    serving_version: str,
    serving_known: bool = True,
) -> Decision:
    """Applies every rule, in the order in which they are shown.

    Args:
      settings: the [gate] table.
      genres: in label order.
      scores: on the test split, of the candidate, the best baseline and ALL, as
        far as there are such.
      candidate: its name there.
      best_baseline: the best on validation; None where none were trained.
      against_serving: as rules.holds_serving takes it.
      audio_hashes: as rules.audio_hash takes them.
      candidate_digest: as rules.already_serving takes it.
      serving_digest: the same.
      serving_version: the same.
      serving_known: the same.
    """
    resamples = settings.resamples
    ours = scores.right[candidate]

    def against(model: str, words: str) -> Comparison:
        return compare(words, ours, scores.right[model], scores.groups, resamples=resamples)

    baseline: Comparison | str = "no baselines were trained (baselines.models names none)"
    if best_baseline is not None:
        baseline = against(best_baseline, f"the best baseline ({printable(best_baseline)})")
    ensemble: Comparison | str = f"there is no average of all models ({ALL})"
    if ALL in scores.right:
        ensemble = against(ALL, "the average of all models")
    accuracy = resampling.share(ours, scores.groups, resamples=resamples)
    recall = scores.recall(candidate, genres, resamples)
    return Decision.of(
        (
            rules.absolute_floor(settings, accuracy, len(genres)),
            rules.beats_baseline(settings, baseline),
            rules.holds_ensemble(settings, ensemble),
            rules.holds_serving(settings, against_serving),
            rules.genre_recall(settings, recall, scores.tracks(genres)),
            rules.audio_hash(audio_hashes),
            rules.already_serving(
                candidate_digest, serving_digest, serving_version, known=serving_known
            ),
        )
    )
