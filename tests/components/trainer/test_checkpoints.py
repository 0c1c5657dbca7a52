"""Tests of the state of an unfinished training: saved completely or not at all, and resumed."""

from __future__ import annotations

import dataclasses
import errno
import functools
import io
import itertools
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from components.models.network import Network
from components.trainer import checkpoints, training
from components.trainer.batches import Clips
from components.trainer.checkpoints import Checkpoint, TrainingState
from components.trainer.resolved import ResolvedSettings
from tests.components.trainer.toys import clips, noisy_with_base, settings

STATE = TrainingState(
    {"epoch": 3}, {"model": [np.arange(6.0).reshape(2, 3), np.array(7)], "best": []}
)


def _same(one: TrainingState | None, other: TrainingState) -> bool:
    return (
        one is not None
        and one.meta == other.meta
        and one.arrays.keys() == other.arrays.keys()
        and all(
            len(one.arrays[name]) == len(group)
            and all(np.array_equal(a, b) for a, b in zip(one.arrays[name], group, strict=True))
            for name, group in other.arrays.items()
        )
    )


def test_a_state_comes_back_as_it_was(tmp_path: pathlib.Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new" / "a.npz")
    assert checkpoint.load() is None
    assert not checkpoint.damaged
    assert checkpoint.save(STATE) is None
    assert _same(checkpoint.load(), STATE)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]
    checkpoint.remove()
    assert checkpoint.load() is None
    checkpoint.remove()


def test_without_a_path_nothing_is_kept() -> None:
    checkpoint = Checkpoint(None)
    assert checkpoint.save(STATE) is None
    assert checkpoint.load() is None
    checkpoint.remove()


@pytest.mark.parametrize("kept", [0, 1, 40, 0.3, 0.9])
def test_a_file_cut_short_counts_as_none(tmp_path: pathlib.Path, kept: float) -> None:
    path = tmp_path / "a.npz"
    Checkpoint(path).save(STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    checkpoint = Checkpoint(path)
    assert checkpoint.load() is None
    assert checkpoint.damaged


def test_a_pickle_in_the_file_is_not_read(tmp_path: pathlib.Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "a.npz"
    np.savez(path, meta=np.array([Bomb()], dtype=object))
    assert Checkpoint(path).load() is None


def test_a_full_disk_is_told_and_keeps_the_last_good_state(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path / "a.npz")
    checkpoint.save(STATE)

    def full(file: io.BufferedWriter, **_arrays: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.np, "savez", full)
    trouble = checkpoint.save(TrainingState({"epoch": 4}, {}))
    assert trouble is not None
    assert "No space left" in trouble
    assert _same(checkpoint.load(), STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


class Killed(BaseException):
    """Exception for the end of the process, which no code of training may catch."""


def _train(network: Network, chosen: ResolvedSettings, **options: Any) -> training.TrainingHistory:
    return training.train(network, clips(24, 1), clips(9, 2), chosen, **options)


def _without_times(history: training.TrainingHistory) -> Any:
    values = dataclasses.asdict(history)
    for name in ("train_seconds", "resumed_epochs"):
        del values[name]
    for record in [*values["phases"], *values["epochs"]]:
        del record["seconds"]
    return values


def _noisy_settings(*, pretrained: bool) -> ResolvedSettings:
    """Return settings with state: dropout, a schedule, momentum in the optimiser, a loss scale."""
    return settings(
        epochs=4 if pretrained else 7,
        fine_tune_epochs=3,
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=1.0,
        augmentation={"time_masks": 1, "mixup": 0.3},
    )


@functools.cache
def _unbroken(*, pretrained: bool, dtype_policy: str) -> tuple[Any, list[Any]]:
    """Return the history, without its times, and the weights of a training that was not killed."""
    network = noisy_with_base(pretrained=pretrained, dtype_policy=dtype_policy)
    history = _train(network, _noisy_settings(pretrained=pretrained))
    return _without_times(history), network.model.get_weights()


@pytest.mark.parametrize(
    ("pretrained", "killed_after", "dtype_policy"),
    [
        *itertools.product([False, True], [1, 3, 4, 6], ["float32"]),
        (True, 6, "mixed_bfloat16"),
        *itertools.product([True], [3, 6], ["mixed_float16"]),
    ],
)
def test_a_training_that_was_killed_ends_as_an_unbroken_one(
    pretrained: bool, killed_after: int, dtype_policy: str, tmp_path: pathlib.Path
) -> None:
    def build() -> Network:
        return noisy_with_base(pretrained=pretrained, dtype_policy=dtype_policy)

    chosen = _noisy_settings(pretrained=pretrained)
    expected, weights = _unbroken(pretrained=pretrained, dtype_policy=dtype_policy)

    checkpoint = Checkpoint(tmp_path / "a.npz")
    done = 0

    def kill(**fields: Any) -> None:
        nonlocal done
        done += "val_loss" in fields
        # While the next epoch is under way.
        if done == killed_after and "val_loss" not in fields:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.trainer.callbacks.REPORT_INTERVAL_SECONDS", 0.0)
        with pytest.raises(Killed):
            _train(build(), chosen, checkpoint=checkpoint, report=kill)
    resumed = build()
    history = _train(resumed, chosen, checkpoint=checkpoint)
    assert history.resumed_epochs == killed_after
    assert _without_times(history) == expected
    for one, other in zip(resumed.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_whose_state_was_cut_short_begins_anew_and_says_so(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "a.npz"
    chosen = settings(epochs=2)
    expected = _train(noisy_with_base(pretrained=False), chosen, checkpoint=Checkpoint(path))
    path.write_bytes(path.read_bytes()[:-200])
    said: list[str] = []
    history = _train(
        noisy_with_base(pretrained=False),
        chosen,
        checkpoint=Checkpoint(path),
        report=lambda **fields: said.append(fields.get("note", "")),
    )
    assert history.resumed_epochs == 0
    assert _without_times(history) == _without_times(expected)
    (note,) = filter(None, said)
    assert "damaged" in note


def test_a_run_that_cannot_save_goes_on_and_says_so(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_values: Any, **_arrays: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.np, "savez", full)
    said: list[str] = []
    history = _train(
        noisy_with_base(pretrained=False),
        settings(epochs=2),
        checkpoint=Checkpoint(tmp_path / "a.npz"),
        report=lambda **fields: said.append(fields.get("note", "")),
    )
    assert len(history.epochs) == 2
    assert sum("No space left" in text for text in said) == 2


def test_a_state_of_another_network_is_refused(tmp_path: pathlib.Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a.npz")
    _train(noisy_with_base(pretrained=False), settings(epochs=1), checkpoint=checkpoint)
    mel_db = keras.Input((16, 20))
    other = keras.Model(mel_db, keras.layers.Dense(3)(keras.layers.Flatten()(mel_db)))
    network = Network(base=None, head=other, model=other, two_phase=False)
    with pytest.raises(training.TrainingError, match="another network"):
        _train(network, settings(epochs=2), checkpoint=checkpoint)


def test_clips_of_the_toys_are_clips() -> None:
    assert isinstance(clips(3, 1), Clips)
