"""Test that runs the tutorial's notebook in a real Jupyter kernel, on the demo's corpus."""

from __future__ import annotations

import pathlib
import re

import nbclient
import nbformat
import pytest

NOTEBOOK = pathlib.Path(__file__).parents[2] / "docs" / "tutorial" / "notebook.ipynb"


@pytest.mark.slow
@pytest.mark.e2e
def test_the_notebook_runs_and_shows_what_it_says(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    nbclient.NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    (tmp_path / "executed.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4  # spectrograms, accuracies, confusion, the genre over time
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert re.search(r"^blessed - pushed version: \d+$", text, re.MULTILINE)
    difference = re.search(r"largest difference from the local model: (\S+)", text)
    assert difference
    assert float(difference[1]) < 1e-5
    tables = [output for output in outputs if "text/html" in output.get("data", {})]
    assert "Rock" in tables[-1]["data"]["text/html"]
