"""The gate's decision: all rules applied to the scores. Imports no TFX, reads no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

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
    """Apply every rule, in the order in which they are shown.

    Args:
      settings: the [gate] table.
      genres: in label order.
      scores: on the test split, of the candidate, and of the best baseline and the average of
        all models if they exist.
      candidate: its name in `scores`.
      best_baseline: name of the baseline that is best on validation; None without baselines.
      against_serving: `serving` of rules.Evidence.
      audio_hashes: see rules.Evidence.
      candidate_digest: see rules.Evidence.
      serving_digest: see rules.Evidence.
      serving_version: see rules.Evidence.
      serving_known: see rules.Evidence.
    """
    resamples = settings.resamples
    ours = scores.correctness[candidate]

    def against(model: str, description: str) -> Comparison:
        return compare(
            description, ours, scores.correctness[model], scores.groups, resamples=resamples
        )

    baseline: Comparison | str = "no baselines were trained (baselines.models is empty)"
    if best_baseline is not None:
        baseline = against(best_baseline, f"the best baseline ({printable(best_baseline)})")
    ensemble: Comparison | str = f"there is no average of all models ({ALL})"
    if ALL in scores.correctness:
        ensemble = against(ALL, "the average of all models")
    evidence = rules.Evidence(
        settings=settings,
        genres=genres,
        accuracy=resampling.share(ours, scores.groups),
        groups=len(np.unique(scores.groups)),
        recall=scores.recall(candidate, genres),
        tracks=scores.tracks(genres),
        baseline=baseline,
        ensemble=ensemble,
        serving=against_serving,
        audio_hashes=audio_hashes,
        candidate_digest=candidate_digest,
        serving_digest=serving_digest,
        serving_version=serving_version,
        serving_known=serving_known,
    )
    return Decision.of(tuple(rule(evidence) for rule in rules.RULES))
