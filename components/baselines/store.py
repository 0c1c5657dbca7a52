"""Baselines on disk, without pickle: scikit-learn's by skops, XGBoost's in its own format.

`baselines.json` describes them and is written last:

schema_version  1
genres          names in label order
audio_hash      hash of the training clips' audio parameters
clips           {"train": n, "validation": n, "test": n}
pca             {"components", "explained_variance_ratio": [...], "total"}
models          {name: {"train_seconds", "settings"}} in the order of every table
feature_seconds duration of fitting and applying the principal components
settings        the [baselines] table
files           {file name: sha256}
versions        versions of Genreflow, Python and the libraries that the models depend on
code_digest     digest of the code that made them
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

from components.artifacts import files as artifact_files
from components.artifacts.names import BASELINES_JSON
from components.baselines import archive
from components.baselines.models import Model, Xgboost
from components.baselines.settings import BASELINES, BaselineSettings
from components.baselines.train import Baselines
from components.common.dataclass_json import from_json
from components.common.errors import DataError

SCHEMA_VERSION = 1
FEATURES_FILE = "features.skops"

# Class of each model. The file itself may hold any object of a trusted type.
_CLASSES = {
    "dummy": "DummyClassifier",
    "knn": "KNeighborsClassifier",
    "svm": "SVC",
    "logistic": "LogisticRegression",
    "random_forest": "RandomForestClassifier",
    "gradient_boosting": "GradientBoostingClassifier",
}
_AGAIN = "train the baselines again"


def save(
    baselines: Baselines,
    directory: str,
    *,
    audio_hash: str,
    clips: Mapping[str, int],
    code_digest: str,
) -> None:
    """Write baselines into a folder, local or in an object store.

    Args:
      baselines: the fitted baselines.
      directory: the folder's path or URI.
      audio_hash: hash of the training clips' audio parameters.
      clips: number of clips in each split.
      code_digest: digest of the code that trained.
    """
    files = {}
    for name, thing in ((FEATURES_FILE, baselines.features), *_by_file(baselines)):
        content = (
            bytes(thing.booster.save_raw("json"))
            if isinstance(thing, Xgboost)
            else archive.dumps(thing)
        )
        files[name] = _digest(content)
        artifact_files.write_bytes(os.path.join(directory, name), content)
    description = {
        "schema_version": SCHEMA_VERSION,
        "genres": list(baselines.genres),
        "audio_hash": audio_hash,
        "clips": dict(clips),
        "pca": baselines.explained_variance(),
        "models": {
            name: {
                "train_seconds": round(baselines.train_seconds[name], 3),
                "settings": baselines.settings.of_model(name),
            }
            for name in baselines.models
        },
        "feature_seconds": round(baselines.feature_seconds, 3),
        "settings": dataclasses.asdict(baselines.settings),
        "files": files,
        "versions": versions(),
        "code_digest": code_digest,
    }
    text = json.dumps(description, indent=2, allow_nan=False) + "\n"
    artifact_files.write_text(os.path.join(directory, BASELINES_JSON), text)


def describe(directory: str) -> dict[str, Any]:
    """Return the content of `baselines.json`.

    Raises:
      DataError: the file is missing, damaged or of another version.
    """
    path = os.path.join(directory, BASELINES_JSON)
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}); {_AGAIN}") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version is {version!r}, this program reads {SCHEMA_VERSION}; {_AGAIN}"
        )
    return found


def load(directory: str) -> Baselines:
    """Read the baselines that `save` wrote, without executing anything in the files.

    Raises:
      DataError: a file is missing or damaged, is not the model that its name says, or holds
        objects of types that no baseline has.
    """
    found = describe(directory)
    try:
        settings = from_json(BaselineSettings, found["settings"], partial=True)
        genres, files = tuple(found["genres"]), dict(found["files"])
        seconds = {name: float(values["train_seconds"]) for name, values in found["models"].items()}
        feature_seconds = float(found["feature_seconds"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        path = os.path.join(directory, BASELINES_JSON)
        raise DataError(f"{path}: not a description of baselines ({error!r}); {_AGAIN}") from error
    names = [name for name in BASELINES if name in seconds]
    features = _skops(directory, FEATURES_FILE, files, "Pipeline")
    if list(features.named_steps) != ["pca", "scale"]:
        raise DataError(
            f"{os.path.join(directory, FEATURES_FILE)}: does not hold features; {_AGAIN}"
        )
    width = features["pca"].n_components_
    models = {name: _model(directory, name, files, width, len(genres)) for name in names}
    return Baselines(genres, features, models, settings, seconds, feature_seconds)


def file_name(model: str) -> str:
    """Return the name of a model's file."""
    return "xgboost.json" if model == "xgboost" else f"{model}.skops"


def versions() -> dict[str, str]:
    """Return the versions of the software that the models depend on."""
    names = ("genreflow", "numpy", "scikit-learn", "scipy", "skops", "xgboost-cpu")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def _by_file(baselines: Baselines) -> list[tuple[str, Model]]:
    return [(file_name(name), model) for name, model in baselines.models.items()]


def _model(directory: str, name: str, files: Mapping[str, str], width: int, genres: int) -> Model:
    if name == "xgboost":
        model, found = _booster(directory, files)
    else:
        model = _skops(directory, file_name(name), files, _CLASSES[name])
        found = (model.n_features_in_, len(model.classes_))
    if name == "dummy":  # it uses no features
        found = (width, found[1])
    if found != (width, genres):
        raise DataError(
            f"{os.path.join(directory, file_name(name))}: trained on {found[0]} features "
            f"and {found[1]} genres, not on {width} and {genres}; {_AGAIN}"
        )
    return model


def _skops(directory: str, name: str, files: Mapping[str, str], kind: str) -> Any:
    """Return the object in a file, which must be of scikit-learn's class `kind`."""
    path = os.path.join(directory, name)
    found = archive.loads(_checked(path, files), path)
    if type(found).__name__ != kind or not type(found).__module__.startswith("sklearn."):
        raise DataError(f"{path}: holds a {type(found).__name__}, not a {kind}; {_AGAIN}")
    return found


def _booster(directory: str, files: Mapping[str, str]) -> tuple[Xgboost, tuple[int, int]]:
    import xgboost
    from xgboost.core import XGBoostError

    path = os.path.join(directory, file_name("xgboost"))
    content = _checked(path, files)
    booster = xgboost.Booster()
    try:
        json.loads(content)  # XGBoost's own reader accepts text after the end
        booster.load_model(bytearray(content))
        learner = json.loads(booster.save_config())["learner"]
        genres = int(learner["learner_model_param"]["num_class"])
    except (LookupError, ValueError, TypeError, RecursionError, XGBoostError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged, or not a model ({reason}); {_AGAIN}") from error
    return Xgboost(booster), (int(booster.num_features()), genres)


def _checked(path: str, files: Mapping[str, str]) -> bytes:
    """Return a file's content, checked against the digest in baselines.json."""
    content = _read(path)
    if _digest(content) != files.get(os.path.basename(path)):
        raise DataError(f"{path}: not the file that {BASELINES_JSON} was written with; {_AGAIN}")
    return content


def _read(path: str) -> bytes:
    from components.storage.errors import ObjectMissing

    try:
        return artifact_files.read_bytes(path)
    except (FileNotFoundError, ObjectMissing) as error:
        raise DataError(f"{path}: is missing; {_AGAIN}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
