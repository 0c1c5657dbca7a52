"""Tests of the checks before a run."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from components.audio.params import AudioParams
from components.common.errors import UsageError
from components.datasets.corpus import Corpus
from components.datasets.settings import SplitSettings
from components.datasets.split.splits import SplitResult
from components.datasets.track import Track
from components.models.settings import ModelSettings
from components.serving_check.settings import ServingSettings
from components.trainer.settings import TrainingSettings
from components.tuner.settings import TuningSettings
from pipeline.config.schema import Config
from pipeline.prepare import preflight

# Ten tracks of three clips; eight of them are for training.
IDS = [f"t{number}" for number in range(10)]
CORPUS = Corpus(
    tracks=tuple(Track(name, f"{name}.mp3", "Rock") for name in IDS),
    genres=("Folk", "Rock"),
    splits=SplitResult(
        SplitSettings(),
        {name: "train" if number < 8 else "test" for number, name in enumerate(IDS)},
    ),
    rejects=(),
    digest="",
)
AUDIO = AudioParams(clips_per_track=3)


def _config(of_all: int, **model: int) -> Config:
    return Config(
        models={"crnn": ModelSettings(), "ffnn": ModelSettings(**model)},  # type: ignore[arg-type]
        audio=AUDIO,
        training=TrainingSettings(batch_size=of_all),
    )


def test_a_batch_of_all_clips_is_just_possible() -> None:
    preflight.check_batches(_config(24), CORPUS)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            _config(25),
            r"^training\.batch_size = 25: crnn has only 24 training clips.*; set training\.batch",
        ),
        (
            _config(8, batch_size=25),
            r"^models\.ffnn\.batch_size = 25: ffnn has only 24 training clips ",
        ),
        (
            _config(24, max_train_clips=10),
            r"^training\.batch_size = 24: ffnn has only 10 training clips "
            r"\(models\.ffnn\.max_train_clips\); set models\.ffnn\.batch_size to 10 ",
        ),
        (_config(8, batch_size=11, max_train_clips=10), r"^models\.ffnn\.batch_size = 11: .* 10 "),
    ],
)
def test_a_batch_larger_than_the_data_is_refused(config: Config, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preflight.check_batches(config, CORPUS)


def test_the_sizes_that_a_search_tries_are_looked_at_in_place_of_the_one_it_replaces() -> None:
    def tuned(*sizes: int, **tuning: int) -> Config:
        settings = TuningSettings(("ffnn", "crnn"), batch_size=sizes, **tuning)  # type: ignore[arg-type]
        return dataclasses.replace(_config(500), tuning=settings)

    preflight.check_batches(tuned(8, 24), CORPUS)
    with pytest.raises(UsageError, match=r"^tuning\.batch_size = 25: .* only 24 training clips"):
        preflight.check_batches(tuned(25, 8), CORPUS)
    with pytest.raises(
        UsageError, match=r"= 24: crnn has only 20 training clips \(tuning\.max_train_clips\)"
    ):
        preflight.check_batches(tuned(8, 24, max_train_clips=20), CORPUS)
    with pytest.raises(UsageError, match=r"^training\.batch_size = 500"):
        preflight.check_batches(tuned(8, 24, trials=0), CORPUS)


def test_tracks_that_cannot_be_used_do_not_count() -> None:
    preflight.check_batches(_config(21), CORPUS, {"t0", "t9"})
    with pytest.raises(UsageError, match="only 21 training clips"):
        preflight.check_batches(_config(22), CORPUS, {"t0", "t9"})


def test_clips_that_are_split_one_by_one_are_counted_so() -> None:
    leaky = dataclasses.replace(CORPUS, splits=SplitResult(SplitSettings(), {}, leaky=True))
    count = sum(leaky.split_of_clip(name, clip) == "train" for name in IDS for clip in range(3))
    assert 0 < count < 30
    preflight.check_batches(_config(count), leaky)
    with pytest.raises(UsageError, match=f"only {count} training clips"):
        preflight.check_batches(_config(count + 1), leaky)


def test_weights_that_are_not_there_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "base.weights.h5"
    config = Config(models={"vgg16": ModelSettings(weights=str(path))})
    with pytest.raises(UsageError, match=r"models\.vgg16\.weights = .*no such file"):
        preflight.check_weights(config)
    path.touch()
    preflight.check_weights(config)


def test_a_checkpoints_folder_needs_both_of_its_files(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "MSD_musicnn"
    config = Config(
        models={"musicnn": ModelSettings(weights=str(folder))},
        audio=AudioParams.of_front_end("musicnn"),
    )
    data, index = ".data-00000-of-00001", ".index"
    for made, missing in (
        (tmp_path, "no such folder"),
        (folder, f"no {data} in this folder"),
        (folder / data, f"no {index} in this folder"),
    ):
        made.touch() if made.name == data else made.mkdir(exist_ok=True)
        with pytest.raises(UsageError, match=rf"models\.musicnn\.weights = .*{missing}"):
            preflight.check_weights(config)
    (folder / index).mkdir()
    with pytest.raises(UsageError, match=f"no {index} in this folder"):
        preflight.check_weights(config)
    (folder / index).rmdir()
    (folder / index).touch()
    preflight.check_weights(config)


def test_a_server_that_must_be_tried_and_is_not_there_ends_the_run_before_it_begins(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(**settings: object) -> None:
        serving = ServingSettings(**settings)  # type: ignore[arg-type]
        preflight.check_engine(Config(models={"ffnn": ModelSettings()}, serving=serving))

    monkeypatch.setenv("PATH", str(tmp_path))
    check()
    check(engine="genreflow")
    check(engine="tensorflow-serving", check=False)
    with pytest.raises(UsageError, match="tensorflow_model_server is not on the PATH"):
        check(engine="tensorflow-serving")
    program = tmp_path / "tensorflow_model_server"
    program.touch(0o755)
    check(engine="tensorflow-serving")
