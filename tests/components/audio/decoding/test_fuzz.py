"""A short, deterministic part of the fuzz campaign of benchmarks/fuzz_decoder.py."""

from __future__ import annotations

import pathlib

from benchmarks import fuzz_decoder
from components.datasets.track import REJECT_REASONS


def test_damaged_files_end_as_clips_or_as_a_reject_of_the_list(tmp_path: pathlib.Path) -> None:
    ends, _ = fuzz_decoder.campaign(cases=400, seed=7, folder=tmp_path)
    assert sum(ends.values()) == 400
    assert set(ends) <= {"clips", *REJECT_REASONS}
    # Otherwise the fuzzing would not test both outcomes.
    assert ends["clips"] > 50
    assert ends["undecodable"] > 50
