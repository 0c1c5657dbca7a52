"""The gate and a serving model with other audio parameters, which hears the songs themselves."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pytest

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import InProcessDecoder
from components.gate import hearing
from tests.components.gate import gate_inputs as made
from tests.components.gate.test_gate_executor import TRACKS, Inputs, inputs

__all__ = ["inputs"]


def _rule(decision: dict[str, Any]) -> dict[str, Any]:
    (rule,) = [rule for rule in decision["rules"] if rule["id"] == "holds_serving"]
    return dict(rule)


@pytest.fixture
def songs(inputs: Inputs) -> dict[str, pathlib.Path]:
    return made.write_songs(inputs.folder / "examples", TRACKS)


@pytest.fixture
def serving(inputs: Inputs) -> pathlib.Path:
    """Write a model that has seen ten test tracks, and is wrong on 8 of the 20 others."""
    names = [track.track_id for track in TRACKS]
    folder = made.write_sound_oracle(
        inputs.folder / "serving",
        TRACKS,
        wrong=names[10:18],
        seen_tracks=made.seen(names[:5], names[5:10]),
    )
    inputs.serving = folder
    return folder


@pytest.mark.usefixtures("songs", "serving")
def test_it_is_compared_with_on_the_songs_that_it_never_saw(inputs: Inputs) -> None:
    decision, blessing = inputs.decide()
    rule = _rule(decision)
    assert decision["blessed"] is True
    assert blessing.get_int_custom_property("blessed") == 1
    assert (rule["outcome"], rule["value"]) == ("pass", pytest.approx(8 / 20, abs=1e-6))
    assert rule["interval"][0] < 8 / 20 < rule["interval"][1]
    assert (
        "100.0% of 20 test tracks are correct, 60.0% with the serving model (version 1700000000), "
        "which heard the same seconds of each song in clips of 0.05 s at 4000 Hz, has seen the "
        "other 10: +40.0 points"
    ) in rule["text"]


@pytest.mark.usefixtures("songs")
def test_a_candidate_that_is_worse_than_it_is_refused(inputs: Inputs) -> None:
    inputs.serving = made.write_sound_oracle(inputs.folder / "serving", TRACKS)
    rule = _rule(inputs.decide()[0])
    assert (rule["outcome"], rule["value"]) == ("fail", pytest.approx(-2 / 30, abs=1e-6))
    assert inputs.decide(serving_tolerance=2 / 30)[0]["blessed"] is True


@pytest.mark.parametrize("clip_samples", [200, 400, 160])  # at 4 kHz; the clips have 0.1 s
def test_it_hears_the_seconds_of_the_candidates_clips_and_no_others(
    inputs: Inputs, clip_samples: int
) -> None:
    made.write_songs(inputs.folder / "examples", TRACKS, elsewhere=0.0)
    inputs.serving = made.write_sound_oracle(
        inputs.folder / "serving", TRACKS, clip_samples=clip_samples
    )
    rule = _rule(inputs.decide()[0])
    assert rule["value"] == pytest.approx(-2 / 30, abs=1e-6), rule["text"]


@pytest.mark.usefixtures("songs", "serving")
def test_a_later_run_decodes_nothing_unless_a_song_has_changed(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _rule(inputs.decide()[0])
    decoded: list[str] = []

    class Counting(InProcessDecoder):
        def read_windows(self, path: Any, *arguments: Any, **names: Any) -> Any:
            decoded.append(pathlib.Path(path).stem)
            return super().read_windows(path, *arguments, **names)

    monkeypatch.setattr(hearing, "make_decoder", lambda limits: Counting())
    assert _rule(inputs.decide()[0]) == first
    assert decoded == []
    stored = sorted((inputs.folder / "cache" / "windows").rglob("*.npz"))
    assert len(stored) == 20
    stored[0].write_bytes(stored[0].read_bytes()[:100])  # damaged
    stored[1].unlink()
    assert _rule(inputs.decide()[0]) == first
    assert len(decoded) == 2
    decoded.clear()
    # The model's successor hears in another form.
    made.write_sound_oracle(inputs.folder / "next", TRACKS, clip_samples=300)
    inputs.serving = inputs.folder / "next"
    assert _rule(inputs.decide()[0])["value"] == pytest.approx(-2 / 30, abs=1e-6)
    assert len(decoded) == 30


@pytest.mark.usefixtures("serving")
def test_without_a_store_everything_is_decoded_and_nothing_kept(inputs: Inputs) -> None:
    made.write_songs(inputs.folder / "examples", TRACKS)
    inputs.parameters["store"] = ""
    inputs.parameters["decode_limits"] = json.dumps({"timeout_seconds": 60.0, "memory_mib": 512})
    assert _rule(inputs.decide()[0])["value"] == pytest.approx(8 / 20, abs=1e-6)
    assert not (inputs.folder / "cache").exists()


@pytest.mark.usefixtures("serving")
def test_files_that_are_gone_or_changed_are_counted_and_the_rule_fails(
    inputs: Inputs, songs: dict[str, pathlib.Path]
) -> None:
    for name in ("t003", "t012", "t020"):  # the first is not needed
        songs[name].unlink()
    os.utime(songs["t025"], (1, 1))
    decision, _ = inputs.decide()
    rule = _rule(decision)
    assert decision["blessed"] is False
    assert rule["outcome"] == "fail"
    assert "files of 20 test tracks 1 changed and 2 missing since the examples were" in rule["text"]
    assert "t012.wav; rerun the pipeline" in rule["text"]
    assert "Set gate.holds_serving = false to disable this rule" in rule["text"]
    assert not (inputs.folder / "cache").exists()  # found before any is decoded


@pytest.mark.usefixtures("serving", "songs")
def test_a_song_that_cannot_be_decoded_again_is_a_reason(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(InProcessDecoder):
        def read_windows(self, path: Any, *arguments: Any, **names: Any) -> Any:
            if pathlib.Path(path).stem == "t015":
                raise DecodeError("timed_out", "not decoded after 1 s")
            return super().read_windows(path, *arguments, **names)

    monkeypatch.setattr(hearing, "make_decoder", lambda limits: Slow())
    text = _rule(inputs.decide()[0])["text"]
    assert "t015.wav cannot be decoded again (timed_out: not decoded after 1 s)" in text


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("content", [None, "{}", '{"strict": false, "sources": []}'])
def test_examples_that_do_not_say_where_their_songs_are_are_a_reason(
    inputs: Inputs, content: str | None
) -> None:
    if content is not None:
        (inputs.folder / "examples" / "test_sources.json").write_text(content)
    text = _rule(inputs.decide()[0])["text"]
    expected = (
        "do not say where 20 of 20 test tracks"
        if content and "strict" in content
        else ("test_sources.json")
    )
    assert expected in text
    assert "rerun the pipeline" in text


@pytest.mark.usefixtures("serving")
def test_songs_that_it_cannot_hear_are_left_out_and_counted(inputs: Inputs) -> None:
    short = {name: 0.04 for name in ("t011", "t019", "t025")}
    made.write_songs(inputs.folder / "examples", TRACKS, seconds=short)
    rule = _rule(inputs.decide()[0])
    # t011 is one of the eight that it names wrong.
    assert rule["value"] == pytest.approx(7 / 17, abs=1e-6)
    assert "of 17 test tracks" in rule["text"]
    assert "cannot hear 3 (too_short), has seen the other 10" in rule["text"]

    everything = {track.track_id: 0.04 for track in TRACKS}
    made.write_songs(inputs.folder / "examples", TRACKS, seconds=everything)
    text = _rule(inputs.decide()[0])["text"]
    assert "it cannot hear any of 20 test tracks (too_short 20)" in text


@pytest.mark.usefixtures("serving")
def test_songs_of_which_its_graph_finds_every_window_silent_are_left_out(inputs: Inputs) -> None:
    made.write_songs(inputs.folder / "examples", TRACKS, too_loud=["t029"])
    rule = _rule(inputs.decide()[0])
    assert rule["value"] == pytest.approx(8 / 19, abs=1e-6)
    assert "cannot hear 1 (near_silent)" in rule["text"]


@pytest.mark.usefixtures("songs")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"describes": False}, "its signature describe is missing or invalid"),
        ({"rate_hz": 1}, "invalid (clips of 200 samples at 1 Hz)"),
        ({"clip_samples": 0}, "invalid (clips of 0 samples at 4000 Hz)"),
        ({"digest": "f" * 16}, "by its assets 0123456789abcdef"),
        ({"genres": ["Pop", "Folk", "Rock"]}, "other genres (Pop, Folk, Rock)"),
        ({"seen_tracks": None}, "so the tracks that this model was trained on are unknown"),
    ],
)
def test_a_model_that_cannot_be_asked_never_passes_in_silence(
    inputs: Inputs, changes: dict[str, Any], reason: str
) -> None:
    inputs.serving = made.write_sound_oracle(inputs.folder / "serving", TRACKS, **changes)
    decision, _ = inputs.decide()
    assert decision["blessed"] is False
    assert reason in _rule(decision)["text"]


@pytest.mark.usefixtures("songs")
def test_a_model_whose_weights_are_damaged_is_a_reason(
    inputs: Inputs, serving: pathlib.Path
) -> None:
    for path in (serving / "variables").iterdir():
        path.unlink()
    assert "cannot be loaded" in _rule(inputs.decide()[0])["text"]
