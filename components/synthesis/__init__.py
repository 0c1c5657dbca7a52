"""A synthetic music corpus in FMA's layout: eight genres, deterministic from a seed.

The genres differ in tempo, rhythm pattern, harmony, timbre and distortion, over ranges
that overlap; recording conditions (equaliser, noise, room, level, key) and the artists'
habits vary more than the genres' mean spectra do. So a model that only sees the overall
spectrum has a hard time, and one that recognises local patterns wherever they lie has an
easier one. How hard it is for a random forest and for `cnn_small` is measured by
benchmarks/synthetic_difficulty.py; numbers about it come from there.

"""

from components.synthesis.corpus import TRACKS, CorpusError, write_corpus

__all__ = ["TRACKS", "CorpusError", "write_corpus"]
