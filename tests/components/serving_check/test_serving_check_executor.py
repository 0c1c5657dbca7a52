"""Executor of ServingCheck on artifacts made by hand, with the project's own server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tfx.types import standard_artifacts

from components.artifacts.types import Predictions
from components.audio.spectrogram.mel import log_mel
from components.common.errors import DataError
from components.export.assets import ModelAssets, read_assets
from components.predictions import table
from components.serving_check import candidate, check, server_process, sounds
from components.serving_check.client import ProbeClient
from components.serving_check.clips import KnownClips, read_test_clips
from components.serving_check.executor import Executor
from components.serving_check.outcome import CheckFailed
from components.serving_check.settings import ServingSettings
from tests.components.serving_check import served_inputs as made
from tests.support.serving_toys import GENRES, PARAMS

SETTINGS = ServingSettings(engine="genreflow")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the folder of a candidate, examples and predictions; not to be changed."""
    folder = tmp_path_factory.mktemp("served")
    made.write_inputs(folder)
    return folder


def _check(
    folder: pathlib.Path, *, blessed: bool = True, settings: ServingSettings = SETTINGS
) -> tuple[dict[str, Any], Any]:
    """Run the executor; return serving_check.json and the blessing artifact."""

    def artifact(kind: Any, name: str) -> Any:
        made_artifact = kind()
        made_artifact.uri = str(folder / name)
        return made_artifact

    gate = artifact(standard_artifacts.ModelBlessing, "gate")
    gate.set_int_custom_property("blessed", int(blessed))
    blessing = artifact(standard_artifacts.InfraBlessing, "infra_blessing")
    # What an attempt left that died.
    pathlib.Path(blessing.uri).mkdir(exist_ok=True)
    pathlib.Path(blessing.uri, "INFRA_BLESSED").touch()
    Executor().Do(
        {
            "model": [artifact(standard_artifacts.Model, "model")],
            "blessing": [gate],
            "examples": [artifact(standard_artifacts.Examples, "examples")],
            "predictions": [artifact(Predictions, "predictions")],
        },
        {"infra_blessing": [blessing]},
        {"serving": json.dumps(dataclasses.asdict(settings))},
    )
    found = json.loads(pathlib.Path(blessing.uri, "serving_check.json").read_text())
    marker = "INFRA_BLESSED" if found["blessed"] else "INFRA_NOT_BLESSED"
    assert sorted(os.listdir(blessing.uri)) == [marker, "serving_check.json"]
    assert blessing.get_int_custom_property("blessed") == int(found["blessed"])
    return found, blessing


def test_a_candidate_that_answers_as_its_trainer_predicted_is_blessed(
    prepared: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = made.copy_inputs(prepared, tmp_path)
    before = _files(folder / "model")
    found, _ = _check(folder)
    assert found["outcome"] == "passed", found["text"]
    assert found["engine"] == "genreflow"
    assert [of["signature"] for of in found["checks"]] == list(check.SIGNATURES)
    assert {of["outcome"] for of in found["checks"]} == {"passed"}
    described, *others = found["checks"]
    assert described["largest_difference"] is None
    assert all(0 <= of["largest_difference"] < 1e-4 for of in others)
    assert f"{made.TRACKS * made.CLIPS} test clips" in found["checks"][1]["text"]
    assert _files(folder / "model") == before  # the server works on links to these


def _files(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Return the modification time and the number of links of each file."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_nlink) for p in sorted(paths)}


def test_a_candidate_that_the_gate_refused_is_not_served(
    prepared: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_process, "SERVER", ("no such program",))
    found, _ = _check(made.copy_inputs(prepared, tmp_path), blessed=False)
    assert found == {
        "blessed": False,
        "engine": None,
        "outcome": "skipped",
        "text": "the gate did not bless the candidate",
        "checks": [],
    }


def test_a_damaged_candidate_is_refused_in_the_servers_words(
    prepared: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = made.copy_inputs(prepared, tmp_path)
    graph = folder / "model" / "Format-Serving" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    found, _ = _check(folder)
    assert (found["blessed"], found["outcome"], found["engine"]) == (False, "failed", None)
    assert "the server exited with status 2; its last output: " in found["text"]
    assert "saved_model.pb" in found["text"]


def test_a_candidate_of_other_genres_than_were_predicted_is_refused_before_it_is_served(
    prepared: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_process, "SERVER", ("no such program",))
    folder = made.copy_inputs(prepared, tmp_path)
    assets = folder / "model" / "Format-Serving" / "assets"
    (assets / "genres.json").write_text(json.dumps(["Folk", "Rock", "Polka"]))
    found, _ = _check(folder)
    assert found["outcome"] == "failed"
    assert "no test rows of cnn_small for the genres Folk, Rock, Polka" in found["text"]
    (assets / "audio_params.json").write_text("{}")
    assert "audio_params.json: no digest of audio parameters" in _check(folder)[0]["text"]
    (assets / "model_card.json").unlink()
    assert "model_card.json" in _check(folder)[0]["text"]


def test_predictions_that_cannot_be_read_end_the_run(
    prepared: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = made.copy_inputs(prepared, tmp_path)
    (folder / "predictions" / "selection.json").unlink()
    with pytest.raises(DataError, match=r"selection\.json"):
        _check(folder)


@dataclasses.dataclass
class Served:
    """A server of the candidate, its client, and the expected values."""

    server: server_process.ServerUnderTest
    client: ProbeClient
    assets: ModelAssets
    clips: KnownClips

    def failure(self, **changes: Any) -> str:
        """Return the reason of the only check that fails, after its signature."""
        changed = dataclasses.replace(self, **changes)
        checks = check.check_server(
            changed.client, changed.assets, changed.clips, SETTINGS.tolerance
        )
        assert [of.passed for of in checks] == [True] * (len(checks) - 1) + [False]
        return f"{checks[-1].signature}: {checks[-1].text}"


@pytest.fixture(scope="module")
def served(prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    scratch = tmp_path_factory.mktemp("server")
    saved_model = str(prepared / "model" / "Format-Serving")
    rows = table.read_table(str(prepared / "predictions"))
    clips = read_test_clips(rows, made.NAME, GENRES, str(prepared / "examples"), 8)
    with (
        server_process.running(
            candidate.lay_out(saved_model, scratch),
            scratch,
            engine="genreflow",
            start_seconds=120,
        ) as server,
        ProbeClient(server.host, server.port, server.rest_port, 60) as client,
    ):
        yield Served(server, client, read_assets(saved_model), clips)


def test_predictions_a_thousandth_off_are_refused_with_the_clip_and_the_numbers(
    served: Served,
) -> None:
    shifted = served.clips.expected.copy()
    shifted[5] += np.array([1e-3, -5e-4, -5e-4], np.float32)
    reason = served.failure(clips=dataclasses.replace(served.clips, expected=shifted))
    assert reason.startswith(f"serving_examples: {served.clips.names[5]}: ")
    assert "0.001 apart, where serving.tolerance allows 0.0001" in reason
    assert f"{shifted[5, 0]:.6f} in the trainer's predictions" in reason


def test_predictions_of_other_clips_are_refused(served: Served) -> None:
    turned = np.roll(served.clips.expected, 1, axis=0)
    reason = served.failure(clips=dataclasses.replace(served.clips, expected=turned))
    assert reason.startswith("serving_examples: clip ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"genres": ("Rock", "Folk", "Jazz")}, "genres is ['Folk', 'Rock', 'Jazz'] from the"),
        ({"audio_hash": "beef"}, "audio_params is "),
        ({"params": dataclasses.replace(PARAMS, clip_seconds=0.5)}, "clip_samples is 2000 from"),
        ({"params": dataclasses.replace(PARAMS, sample_rate_hz=16000)}, "sample_rate_hz is 8000"),
        ({"card": {"architecture": "another"}}, "model_card is {'architecture': 'toy'"),
    ],
)
def test_a_server_that_describes_another_model_than_the_files_is_refused(
    served: Served, change: dict[str, Any], reason: str
) -> None:
    failure = served.failure(assets=dataclasses.replace(served.assets, **change))
    assert failure.startswith("describe: ")
    assert reason in failure


def test_a_front_end_that_hears_otherwise_than_training_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulate skew: the graph's spectrograms differ by half a decibel from those in training."""
    monkeypatch.setattr(
        check, "log_mel", lambda clips, params: log_mel(clips, params).clip(-79.5) - 0.5
    )
    assert served.failure().startswith("serving_default: tone: ")


def test_wav_files_that_hold_other_samples_are_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_samples = sounds.wav_bytes
    monkeypatch.setattr(
        sounds, "wav_bytes", lambda pcm, rate: of_samples(pcm[::-1].copy() // 2, rate)
    )
    assert served.failure().startswith("serving_wav: tone: ")


def test_a_server_that_hangs_is_a_reason(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with ProbeClient("127.0.0.1", port, port, 0.5) as patient:
            reason = served.failure(client=patient)
            assert reason.startswith(
                "describe: GetModelStatus: the server returned DEADLINE_EXCEEDED"
            )
            with pytest.raises(CheckFailed, match="REST: no response"):
                patient.rest_predict("serving_examples", [])


def test_a_candidate_whose_predictions_are_not_its_own_is_refused(
    served: Served, prepared: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the whole executor, on the server that is already running."""

    @contextlib.contextmanager
    def running(*_arguments: Any, **_named: Any) -> Iterator[server_process.ServerUnderTest]:
        yield served.server

    monkeypatch.setattr(server_process, "running", running)
    folder = made.copy_inputs(prepared, tmp_path)
    rows = table.read_table(str(folder / "predictions"))
    swapped = rows.rename(columns={"p_Folk": "p_Rock", "p_Rock": "p_Folk"})
    made.write_predictions(folder, swapped)
    found, _ = _check(folder)
    assert (found["blessed"], found["outcome"]) == (False, "failed")
    assert found["engine"] == "genreflow"
    assert found["text"].startswith("serving_examples: clip ")
    assert [of["outcome"] for of in found["checks"]] == ["passed", "failed"]
    assert found["checks"][1]["largest_difference"] > 0.01
    assert "serving_examples: " + found["checks"][1]["text"] == found["text"]
