"""A synthetic music corpus in FMA's layout: eight genres, deterministic from a seed.

The genres differ in tempo, rhythm pattern, harmony, timbre and distortion, over ranges that
overlap. Recording conditions (equaliser, noise, room, level, key) and the artists' habits vary
more than the genres' mean spectra do. So a genre is hard to recognise from the overall spectrum,
and easier from local patterns. benchmarks/synthetic_difficulty.py measures the difficulty for a
random forest and for `cnn_small`.
"""

from components.synthesis.corpus import TRACKS, CorpusError, write_corpus

__all__ = ["TRACKS", "CorpusError", "write_corpus"]
