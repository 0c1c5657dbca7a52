"""Public Python API: complete, typed, and instant to import."""

from __future__ import annotations

import ast
import importlib.metadata
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import genreflow
from tests.pipeline.finished import predicted_tracks, write_run
from tests.support import ROOT
from tests.support.serving_server import RunningServer
from tests.test_instant_imports import HEAVY


def test_importing_the_package_loads_no_heavy_module_and_none_of_ours() -> None:
    program = (
        "import sys; import genreflow; genreflow.__version__\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
        "ours = ('components', 'pipeline', 'serving', 'kubeflow')\n"
        "print(sorted(name for name in sys.modules if name.startswith(ours)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_type_checkers_see_exactly_the_names_that_are_loaded_lazily() -> None:
    tree = ast.parse(pathlib.Path(genreflow.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == genreflow._MODULES
    assert sorted({*typed, "__version__"}) == sorted(genreflow.__all__)
    assert genreflow.__version__ == importlib.metadata.version("genreflow")


@pytest.mark.parametrize("name", genreflow.__all__)
def test_every_public_name_loads_and_is_listed(name: str) -> None:
    assert getattr(genreflow, name) is not None
    assert name in dir(genreflow)
    assert name in vars(genreflow)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'genreflow' has no attribute 'Genre'"):
        _ = genreflow.Genre


def test_a_configuration_loads_by_name_or_path_with_overrides(tmp_path: pathlib.Path) -> None:
    shipped = genreflow.load_config("demo", ["training.epochs=3"])
    assert isinstance(shipped, genreflow.Config)
    assert shipped.training.epochs == 3
    file = tmp_path / "mine.toml"
    file.write_text("[models.cnn_small]\n", encoding="utf-8")
    assert list(genreflow.load_config(str(file)).models) == ["cnn_small"]
    with pytest.raises(genreflow.ConfigError, match="no shipped configuration 'nope'"):
        genreflow.load_config("nope")


def test_a_folder_does_not_hide_a_shipped_configuration(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert genreflow.load_config("demo").dataset.kind == "synthetic"


def test_both_models_are_genre_models() -> None:
    assert issubclass(genreflow.LocalModel, genreflow.GenreModel)
    assert issubclass(genreflow.GenreClient, genreflow.GenreModel)


def test_errors_that_a_user_can_fix_have_one_base() -> None:
    for error in (genreflow.UsageError, genreflow.DataError, genreflow.ConfigError):
        assert issubclass(error, genreflow.GenreflowError)


def test_the_guides_first_program_runs(
    server: RunningServer,
    toy_models: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    guide = (ROOT / "docs" / "guides" / "python.md").read_text(encoding="utf-8")
    snippet = guide.partition("```python\n")[2].partition("```")[0]
    genres = ("Folk", "Rock")
    write_run(
        tmp_path / "genreflow-demo", genres, predicted_tracks(genres, {"cnn_small": [1, 1, 1, 0]})
    )
    (tmp_path / "genreflow-demo" / "serving_models").mkdir()
    (tmp_path / "genreflow-demo" / "serving_models" / "genreflow").symlink_to(toy_models)
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * 22050)
    soundfile.write(tmp_path / "song.mp3", noise, 22050)
    monkeypatch.chdir(tmp_path)
    exec(snippet.replace("127.0.0.1:8500", f"127.0.0.1:{server.port}"), {})
    first, local, remote = capsys.readouterr().out.splitlines()
    assert first.startswith("cnn_small: 75.0%, 95 % [")
    assert list(ast.literal_eval(local)) == list(ast.literal_eval(remote))
    assert sum(ast.literal_eval(local).values()) == pytest.approx(1, abs=1e-4)
