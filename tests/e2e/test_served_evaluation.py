"""Skew on real recordings: a server gives the same probabilities as the training's evaluation."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import time

import numpy as np
import pytest

from components.predictions import table
from components.spectrogram_gen.wav_export import safe_name
from tests.support.commands import GENREFLOW, OPEN_GATE, finish, start

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Both run the same network; the front end is librosa there and TensorFlow here.
TOLERANCE = 1e-4

CONFIG = f"""{OPEN_GATE}
[dataset]
kind = "gtzan"
export_wav = "clips"
[split]
policy = "by_track"
[training]
epochs = 2
batch_size = 8
[models.cnn_small]
"""


def _serve(models: pathlib.Path, ready: pathlib.Path) -> tuple[subprocess.Popen[str], str]:
    """Start a server; return its process and its address."""
    server = start("serve", "-m", models, "--port", 0, "--rest-port", -1, "--ready-file", ready)
    for _ in range(1800):
        if ready.exists():
            return server, f"127.0.0.1:{json.loads(ready.read_text())['port']}"
        assert server.poll() is None, server.communicate()[0]
        time.sleep(0.1)
    server.kill()
    raise AssertionError(server.communicate()[0])


def test_a_server_gives_test_clips_the_probabilities_of_the_evaluation(
    tmp_path: pathlib.Path, real_data: pathlib.Path
) -> None:
    config, work_dir = tmp_path / "gtzan.toml", tmp_path / "work"
    config.write_text(CONFIG, encoding="utf-8")
    printed = finish(start("run", "-c", config, "-d", real_data / "gtzan", "-w", work_dir))
    assert "✓ ServingCheck" in printed
    results = json.loads((work_dir / "results.json").read_text())
    genres = results["genres"]
    rows = table.read_table(str(work_dir))
    rows = rows[(rows["model"] == results["candidate"]) & (rows["split"] == "test")]
    assert len(rows) >= 20
    clips = {path.stem: str(path) for path in (work_dir / "pipeline").rglob("*.wav")}
    files = [clips[f"{safe_name(row.track_id)}-{row.clip_index:02d}"] for row in rows.itertuples()]

    server, address = _serve(work_dir / "serving_models" / "genreflow", tmp_path / "ready.json")
    try:
        predict = subprocess.run(
            [GENREFLOW, "predict", *files, "--server", address, "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert predict.returncode == 0, predict.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=60)
    assert server.returncode == 0, output

    predictions = json.loads(predict.stdout)
    assert [found["file"] for found in predictions] == files
    assert {found["windows"] for found in predictions} == {1}
    got = np.array([[found["probabilities"][genre] for genre in genres] for found in predictions])
    expected = rows[table.probability_columns(genres)].to_numpy()
    assert np.ptp(expected, axis=0).max() > 0.05  # clips get different probabilities
    largest = np.abs(got - expected).max()
    print(f"{len(files)} clips of {rows['track_id'].nunique()} recordings: {largest:.2g}")
    assert largest <= TOLERANCE
