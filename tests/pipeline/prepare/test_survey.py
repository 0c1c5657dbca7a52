"""Tests of the estimated disk space of a run."""

from __future__ import annotations

import pytest

from components.audio.params import AudioParams
from components.models import architectures, registry
from components.models.settings import ModelSettings
from pipeline.prepare import disk_space
from tests.support import networks

pytestmark = pytest.mark.memory

PARAMS = AudioParams()


def _sized(name: str, head_units: int | None = None) -> ModelSettings:
    return ModelSettings(image_size=networks.image_size_of(name), head_units=head_units)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, _sized(name)) for name in architectures.NETWORKS),
        ("vgg16", ModelSettings(image_size=64)),
        ("vgg16", ModelSettings(image_size=64, head_units=100)),
        ("resnet34", _sized("resnet34", head_units=4096)),
    ],
)
def test_the_expected_weights_are_those_of_the_network(name: str, settings: ModelSettings) -> None:
    params = networks.audio_of(name)
    network = registry.build(
        name, settings, n_mels=params.n_mels, frames=params.frames, genres=8, seed=0
    )
    expected = disk_space.parameters(name, settings, params)
    assert expected == pytest.approx(network.parameters, rel=0.02, abs=50_000)


def test_a_network_that_keeps_the_spectrograms_size_is_counted_by_it() -> None:
    # Counted once by Keras: 4 x 2 x 512 features, and dense layers of 512.
    assert disk_space.parameters("vgg16", ModelSettings(), PARAMS) == pytest.approx(
        17_079_112, rel=0.01
    )


def test_room_is_asked_for_the_state_of_the_largest_training() -> None:
    none = disk_space.run_bytes(0, PARAMS, {})
    small = disk_space.run_bytes(0, PARAMS, {"cnn_small": ModelSettings()})
    both = {"cnn_small": ModelSettings(), "vgg16": ModelSettings(image_size=32)}
    large = disk_space.run_bytes(0, PARAMS, both)
    assert none < small < none + 20e6
    weights = 4 * 15_244_104
    # The model, its base, the mean of both networks, and twice a state of four times the weights.
    assert large - small == pytest.approx(3 * weights + 8 * weights, rel=0.03)
