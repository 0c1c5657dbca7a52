"""Near silence, and channels that cancel each other in the mono mix."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given

from components.audio import levels
from components.audio.decoding.decode import DECODE_REASONS, to_mono
from components.audio.levels import CHANNELS_CANCEL, HEARD, NEAR_SILENT

Sound = npt.NDArray[np.float32]


def noise(samples: int, channels: int = 1, level_db: float = -20.0, seed: int = 0) -> Sound:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 10 ** (level_db / 20), (samples, channels)).astype(np.float32)


def sine(level_db: float) -> Sound:
    """Return a sine of a whole number of periods, whose RMS is exact."""
    peak = 10 ** (level_db / 20) * np.sqrt(2)
    return (peak * np.sin(2 * np.pi * np.arange(1000) / 10)).astype(np.float32)


def cancels(samples: Sound) -> bool:
    return levels.channels_cancel(samples, to_mono(samples))


@pytest.mark.parametrize(("level_db", "reason"), [(-60.01, NEAR_SILENT), (-59.99, HEARD)])
def test_a_window_below_60_db_under_full_scale_is_near_silent(level_db: float, reason: str) -> None:
    power = levels.power(np.stack([sine(-6.0), sine(level_db), np.zeros(1000, np.float32)]))
    assert levels.reasons(power, [False] * 3) == (HEARD, reason, NEAR_SILENT)
    np.testing.assert_allclose(10 * np.log10(power[:2]), [-6.0, level_db], atol=1e-4)


@pytest.mark.parametrize("channels", [2, 3, 6, 100])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("one in phase", False), ("unrelated", False), ("one alone", False), ("paired", True)],
)
def test_channels_cancel_only_if_their_mix_is_lost(
    channels: int, kind: str, expected: bool
) -> None:
    if kind == "unrelated":
        samples = noise(20_000, channels)
    else:
        samples = np.zeros((20_000, channels), np.float32)
        samples[:, 0] = noise(20_000)[:, 0]
        if kind == "one in phase":
            samples[:] = samples[:, :1]
        if kind == "paired":
            samples[:, 1] = -samples[:, 0]
    assert cancels(samples) is expected


@pytest.mark.parametrize(("loss_db", "expected"), [(8.9, False), (9.2, True)])
def test_two_channels_cancel_if_their_mix_loses_9_db(loss_db: float, expected: bool) -> None:
    # Middle and sides in quadrature: the mix keeps the middle alone.
    middle = np.cos(2 * np.pi * np.arange(1000) / 10)
    sides = np.sin(2 * np.pi * np.arange(1000) / 10) * np.sqrt(10 ** (loss_db / 10) - 1)
    samples = 0.1 * np.stack([middle + sides, middle - sides], axis=1).astype(np.float32)
    loss = (samples**2).mean() / (to_mono(samples) ** 2).mean()
    assert 10 * np.log10(loss) == pytest.approx(loss_db, abs=1e-3)
    assert cancels(samples) is expected


def test_silence_and_one_channel_cancel_nothing() -> None:
    quiet = noise(1000, level_db=-70.0)
    assert not cancels(np.concatenate([quiet, -quiet], axis=1))
    assert not cancels(np.zeros((1000, 2), np.float32))
    assert not cancels(noise(1000))


def test_samples_beyond_all_scales_that_cancel_are_found() -> None:
    huge = np.full((1000, 1), 1e30, np.float32)
    assert cancels(np.concatenate([huge, -huge], axis=1))


@given(
    st.lists(st.integers(1, 4000), min_size=1, max_size=20),
    st.sampled_from(
        [(100, 8000, 8000), (441, 44100, 22050), (250, 44056, 8000), (64, 4000, 48000)]
    ),
    st.integers(0, 99),
)
def test_the_meter_finds_the_same_in_blocks_of_any_length(
    blocks: list[int], sizes: tuple[int, int, int], seed: int
) -> None:
    window_samples, rate_hz, window_rate_hz = sizes
    total = sum(blocks)
    left = noise(total, seed=seed)
    rng = np.random.default_rng(seed)
    signs = np.repeat(rng.choice([-1, 1, 0], -(-total // 500)), 500)[:total]
    samples = np.concatenate([left, left * signs[:, None]], axis=1).astype(np.float32)
    meter = levels.ChannelMeter(window_samples, rate_hz, window_rate_hz)
    begin = 0
    for block in blocks:
        part = samples[begin : begin + block]
        meter.add(part, to_mono(part))
        begin += block
    # Of the resampled recording, rounded up.
    windows = -(-total * window_rate_hz // rate_hz) // window_samples
    bounds = [index * window_samples * rate_hz // window_rate_hz for index in range(windows + 1)]
    expected = [cancels(samples[first:last]) for first, last in itertools.pairwise(bounds)]
    half = windows // 2
    assert meter.take(half) + meter.take(windows - half) == expected


def test_a_file_is_refused_for_what_can_be_mended() -> None:
    power = levels.power(np.stack([sine(-66.0), sine(-72.0)]))
    reason, detail = levels.refusal((NEAR_SILENT, NEAR_SILENT), power)
    assert reason == NEAR_SILENT
    assert "-66 dBFS" in detail
    assert "-60 dBFS" in detail
    assert "sox IN OUT norm" in detail
    assert levels.refusal((NEAR_SILENT,), np.zeros(1)) == (NEAR_SILENT, "digital silence")
    reason, detail = levels.refusal((NEAR_SILENT, CHANNELS_CANCEL), power)
    assert reason == CHANNELS_CANCEL
    assert "remix 1" in detail
    assert "pan=mono|c0=c0" in detail
    assert {NEAR_SILENT, CHANNELS_CANCEL} <= DECODE_REASONS
