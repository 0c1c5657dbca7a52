"""Tests of baselines on disk and in an object store: equal predictions, no hostile objects."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import shutil
import zipfile
from typing import Any

import numpy as np
import pytest
import skops.io

from components.artifacts import files as artifact_files
from components.baselines import archive, store, train
from components.baselines.settings import BASELINES
from components.baselines.train import array_blocks
from components.common.errors import DataError
from tests.components.baselines.baseline_toys import GENRES, toy
from tests.components.baselines.test_baseline_models import QUICK

CLIPS = {"train": 60, "validation": 12, "test": 15}


@pytest.fixture(scope="module")
def fitted() -> train.Baselines:
    mel_db, labels = toy(20)
    return train.fit(array_blocks(mel_db), labels, GENRES, QUICK)


def _save(fitted: train.Baselines, folder: str) -> None:
    store.save(fitted, folder, audio_hash="0123456789abcdef", clips=CLIPS, code_digest="c0de")


@pytest.fixture(scope="module")
def original(fitted: train.Baselines, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("original")
    _save(fitted, str(folder))
    return folder


@pytest.fixture
def saved(original: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy that a test may damage."""
    return pathlib.Path(shutil.copytree(original, tmp_path / "baselines"))


def _rewrite(folder: pathlib.Path, name: str, content: bytes) -> None:
    """Replace a file and its digest, as an attacker would."""
    (folder / name).write_bytes(content)
    found = json.loads((folder / "baselines.json").read_text())
    found["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "baselines.json").write_text(json.dumps(found))


@pytest.mark.parametrize("place", ["local", "remote"])
def test_what_is_loaded_answers_as_what_was_saved(
    fitted: train.Baselines, place: str, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    folder = str(tmp_path / "b")
    if place == "remote":
        folder = f"s3://{request.getfixturevalue('bucket')}/b"
    _save(fitted, folder)
    loaded = store.load(folder)
    assert tuple(loaded.models) == BASELINES
    assert (loaded.genres, loaded.settings) == (GENRES, QUICK)
    assert loaded.explained_variance() == fitted.explained_variance()
    mel_db, _ = toy(20, seed=4)
    features = loaded.transform([mel_db])
    np.testing.assert_array_equal(features, fitted.transform([mel_db]))
    for name in BASELINES:
        np.testing.assert_array_equal(
            loaded.predict_proba(name, features), fitted.predict_proba(name, features)
        )


def test_the_description_holds_what_reports_need(
    fitted: train.Baselines, saved: pathlib.Path
) -> None:
    found = store.describe(str(saved))
    assert found["schema_version"] == 1
    assert found["genres"] == list(GENRES)
    assert found["audio_hash"] == "0123456789abcdef"
    assert found["clips"] == CLIPS
    assert found["code_digest"] == "c0de"
    ratios = found["pca"]["explained_variance_ratio"]
    assert len(ratios) == found["pca"]["components"] == 4
    assert found["pca"]["total"] == pytest.approx(sum(ratios))
    assert ratios == sorted(ratios, reverse=True)
    assert list(found["models"]) == list(BASELINES)
    assert found["models"]["xgboost"]["settings"]["n_estimators"] == 10
    assert all(values["train_seconds"] >= 0 for values in found["models"].values())
    assert {"scikit-learn", "xgboost-cpu", "python"} <= set(found["versions"])
    assert set(found["files"]) == {path.name for path in saved.iterdir()} - {"baselines.json"}


def test_the_same_training_writes_the_same_bytes(
    saved: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    mel_db, labels = toy(20)
    again = train.fit(array_blocks(mel_db), labels, GENRES, QUICK)
    _save(again, str(tmp_path / "again"))
    _save(store.load(str(saved)), str(tmp_path / "loaded"))
    for copy in ("again", "loaded"):
        for path in saved.iterdir():
            if path.name != "baselines.json":  # which holds the seconds that it took
                assert (tmp_path / copy / path.name).read_bytes() == path.read_bytes(), path.name


def test_nothing_on_disk_is_a_pickle(saved: pathlib.Path) -> None:
    names = {path.name for path in saved.iterdir()}
    skops_files = {f"{name}.skops" for name in BASELINES if name != "xgboost"}
    assert names == {"baselines.json", "features.skops", "xgboost.json", *skops_files}
    for path in saved.iterdir():
        content = path.read_bytes()
        assert content[:1] != b"\x80", path  # pickle's protocol mark
        assert content[:2] == b"PK" if path.suffix == ".skops" else content[:1] == b"{", path


class _Hostile:
    """A type that would run code when it is created."""

    def __init__(self) -> None:
        self.made = True


def test_a_file_with_a_type_that_no_baseline_needs_is_refused(saved: pathlib.Path) -> None:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    hostile = [
        _Hostile(),
        Pipeline([("pca", FunctionTransformer(os.system)), ("scale", _Hostile())]),
    ]
    for thing in hostile:
        _rewrite(saved, "features.skops", skops.io.dumps(thing))
        with pytest.raises(DataError, match="rejected, because it holds objects"):
            store.load(str(saved))


def test_the_trusted_types_are_a_constant_and_all_are_needed(saved: pathlib.Path) -> None:
    needed: set[str] = set()
    for path in saved.glob("*.skops"):
        needed |= set(skops.io.get_untrusted_types(file=path))
    assert needed == set(archive.TRUSTED_TYPES)


def test_a_model_under_another_s_name_is_refused(saved: pathlib.Path) -> None:
    _rewrite(saved, "svm.skops", (saved / "knn.skops").read_bytes())
    with pytest.raises(DataError, match=r"svm\.skops: holds a KNeighborsClassifier, not a SVC"):
        store.load(str(saved))


def test_a_model_for_other_genres_is_refused(saved: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mel_db, labels = toy(10, genres=2)
    _save(train.fit(array_blocks(mel_db), labels, GENRES[:2], QUICK), str(tmp_path / "two"))
    for name in ("logistic.skops", "xgboost.json", "dummy.skops"):
        folder = tmp_path / name
        _save(store.load(str(saved)), str(folder))
        _rewrite(folder, name, (tmp_path / "two" / name).read_bytes())
        with pytest.raises(DataError, match=r"4 features and 2 genres, not on 4 and 3"):
            store.load(str(folder))


@pytest.mark.parametrize("name", ["features.skops", "random_forest.skops", "xgboost.json"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_is_refused_even_with_a_digest_that_fits(
    saved: pathlib.Path, name: str, share: float
) -> None:
    content = (saved / name).read_bytes()
    cut = content[: int(len(content) * share)]
    (saved / name).write_bytes(cut)
    with pytest.raises(DataError, match=r"not the file that baselines\.json was written with"):
        store.load(str(saved))
    _rewrite(saved, name, cut)
    with pytest.raises(DataError, match=f"{name}: damaged, or not a model"):
        store.load(str(saved))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("schema.json", "[" * 100_000),
        ("schema.json", "[]"),
        ("schema.json", "{}"),
        ("schema.json", '{"__class__": "Pipeline", "__module__": "sklearn.pipeline"}'),
        ("0.npy", "\x93NUMPY\x01\x00v\x00{'descr': (((((("),
        ("0.npy", "no array"),
    ],
)
def test_an_archive_that_says_anything_is_told(saved: pathlib.Path, name: str, text: str) -> None:
    with zipfile.ZipFile(saved / "features.skops") as made:
        members = {member: made.read(member) for member in made.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archived:
        for member, content in {**members, name: text.encode("latin-1")}.items():
            archived.writestr(member, content)
    _rewrite(saved, "features.skops", out.getvalue())
    with pytest.raises(DataError, match=r"features\.skops: damaged, or not a model"):
        store.load(str(saved))


@pytest.mark.parametrize(
    "change",
    [
        {"genres": None},
        {"models": ["knn"]},
        {"models": {"knn": {}}},
        {"settings": {"models": ["knn"], "unknown": 1}},
        {"files": 3},
        {"feature_seconds": "long"},
    ],
)
def test_a_description_of_another_form_is_told(saved: pathlib.Path, change: dict[str, Any]) -> None:
    path = saved / "baselines.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match="not a description of baselines"):
        store.load(str(saved))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "[" * 100_000, '{"schema_version": 2}', "\udcff"]
)
def test_a_damaged_description_is_told(saved: pathlib.Path, text: str) -> None:
    (saved / "baselines.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"baselines\.json"):
        store.load(str(saved))


@pytest.mark.parametrize("place", ["local", "remote"])
def test_a_missing_file_is_told(
    fitted: train.Baselines, place: str, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    folder = str(tmp_path / "b")
    if place == "remote":
        folder = f"s3://{request.getfixturevalue('bucket')}/missing"
    with pytest.raises(DataError, match=r"baselines\.json: is missing"):
        store.load(folder)
    _save(fitted, folder)
    if place == "remote":
        artifact_files.remove(f"{folder}/knn.skops")
    else:
        (tmp_path / "b" / "knn.skops").unlink()
    with pytest.raises(DataError, match=r"knn\.skops: is missing"):
        store.load(folder)
