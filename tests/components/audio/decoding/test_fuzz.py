"""A short, deterministic part of the fuzz campaign of benchmarks/fuzz_decoder.py."""

from __future__ import annotations

import pathlib

from benchmarks import fuzz_decoder
from components.datasets.track import REJECT_REASONS


def test_damaged_files_end_as_clips_or_as_a_reject_of_the_list(tmp_path: pathlib.Path) -> None:
    ends, _ = fuzz_decoder.campaign(cases=400, seed=7, folder=tmp_path)
    streamed = {end: count for end, count in ends.items() if end.startswith("streamed")}
    read = {end: count for end, count in ends.items() if end not in streamed}
    assert sum(read.values()) == sum(streamed.values()) == 400
    assert set(read) <= {"clips", *REJECT_REASONS}
    reasons = {end.removeprefix("streamed").lstrip(":, ").removeprefix("with ") for end in streamed}
    assert reasons <= {"", *REJECT_REASONS}
    # Otherwise the fuzzing would not test both outcomes.
    assert ends["clips"] > 50
    assert ends["undecodable"] > 50
    assert ends["streamed, with truncated"] > 10
    assert ends["streamed, with unread_audio"] > 10
