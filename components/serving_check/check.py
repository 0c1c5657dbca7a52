"""Requests that a server of the candidate must answer or refuse, for every signature.

The first wrong response ends the check, and its reason is the outcome.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.audio.spectrogram.stored import to_stored
from components.common import model_contract as contract
from components.examples.writer import Clip, serialize
from components.export.assets import ModelAssets
from components.serving_check import sounds
from components.serving_check.candidate import VERSION
from components.serving_check.clips import KnownClips
from components.serving_check.outcome import CheckFailed, SignatureCheck, SignatureName
from components.serving_check.probe import (
    ModelClient,
    Probabilities,
    SignatureProbe,
    check_model_spec,
)

# In the order in which they are checked.
SIGNATURES: tuple[SignatureName, ...] = (
    contract.DESCRIBE,
    contract.SERVING_EXAMPLES,
    contract.SERVING_DEFAULT,
    contract.SERVING_WAV,
)
# Limits of one request, so that long clips do not make a message that a server refuses.
MAX_EXAMPLES = 16
MAX_SAMPLES = 2_000_000


def check_server(
    client: ModelClient,
    assets: ModelAssets,
    clips: KnownClips,
    tolerance: float,
    advance: Callable[[str], None] = lambda signature: None,
) -> list[SignatureCheck]:
    """Check all signatures in turn, up to the first that fails.

    Args:
      client: sends requests to the server.
      assets: content of the candidate's files.
      clips: test clips with the trainer's predictions.
      tolerance: largest allowed difference of a probability.
      advance: called with the name of each signature before it is checked.
    """
    reference = _ReferenceSounds(assets.params)
    checks: dict[str, Callable[[SignatureProbe], str]] = {
        contract.DESCRIBE: lambda probe: _check_description(probe, assets),
        contract.SERVING_EXAMPLES: lambda probe: _check_examples(probe, clips),
        contract.SERVING_DEFAULT: lambda probe: _check_waveforms(probe, reference),
        contract.SERVING_WAV: lambda probe: _check_wav_files(probe, reference),
    }
    done: list[SignatureCheck] = []
    for signature in SIGNATURES:
        advance(signature)
        probe = SignatureProbe(client, signature, assets.genres, tolerance)
        try:
            text = checks[signature](probe)
        except CheckFailed as failure:
            text = str(failure)
            done.append(SignatureCheck(signature, probe.requests, probe.largest, "failed", text))
            break
        done.append(SignatureCheck(signature, probe.requests, probe.largest, "passed", text))
    return done


class _ReferenceSounds:
    """Sounds, and the probabilities that the model returns for their librosa spectrograms.

    Attributes:
      params: the model's audio parameters.
      short: sounds of one clip by name, int16 `[clip_samples]`.
      long: a sound of two and a half clips.
      expected: probabilities `[genres]` by the sound's name, filled by `predict`; "long" is the
        mean over its whole clips.
    """

    def __init__(self, params: AudioParams) -> None:
        self.params = params
        self.short = sounds.short_sounds(params)
        self.long = sounds.long_sound(params)
        self.expected: dict[str, Probabilities] = {}

    def predict(self, probe: SignatureProbe) -> None:
        """Fill `expected`."""
        for name, pcm in self.short.items():
            (self.expected[name],) = self._predict_spectrograms(probe, [pcm])
        size = self.params.clip_samples
        halves = [self.long[start : start + size] for start in (0, size)]
        self.expected["long"] = self._predict_spectrograms(probe, halves).mean(axis=0)

    def _predict_spectrograms(
        self, probe: SignatureProbe, clips: list[npt.NDArray[np.int16]]
    ) -> Probabilities:
        mel_db = log_mel(np.stack([sounds.waveform(pcm) for pcm in clips]), self.params)
        examples = [
            serialize(Clip("", "", "", 0, 0, 0.0, to_stored(m)), self.params) for m in mel_db
        ]
        inputs = {contract.EXAMPLES: np.array(examples, object)}
        return probe.predict(inputs, len(clips), contract.SERVING_EXAMPLES)


def _check_description(probe: SignatureProbe, assets: ModelAssets) -> str:
    """Compare the server's description of the model with the model's files."""
    states = probe.client.version_states()
    if states != {VERSION: "AVAILABLE"}:
        raise CheckFailed(
            f"GetModelStatus: versions are {states}, expected {{{VERSION}: 'AVAILABLE'}}"
        )
    lacking = set(SIGNATURES) - probe.client.signatures()
    if lacking:
        raise CheckFailed(f"GetModelMetadata: no signature {', '.join(sorted(lacking))}")
    query = {contract.QUERY: np.array([b""], object)}
    response = probe.client.predict(contract.DESCRIBE, query)
    check_model_spec(response, contract.DESCRIBE)
    try:
        rows = {name: value.tolist() for name, value in response.outputs.items()}
        outputs = {name: row for name, (row,) in rows.items()}  # the request has one row
        served = {
            "genres": [name.decode() for name in outputs[contract.GENRES]],
            "sample_rate_hz": outputs["sample_rate_hz"],
            "clip_samples": outputs["clip_samples"],
            "audio_params": outputs["audio_params"].decode(),
            "model_card": json.loads(outputs["model_card"]),
        }
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckFailed(f"the response does not describe a model ({error!r})") from error
    files = {
        "genres": list(assets.genres),
        "sample_rate_hz": assets.params.sample_rate_hz,
        "clip_samples": assets.params.clip_samples,
        "audio_params": assets.audio_hash,
        "model_card": assets.card,
    }
    for name, value in files.items():
        if served[name] != value:
            raise CheckFailed(
                f"{name} is {_shorten(served[name])} from the server and {_shorten(value)} in the "
                "model's assets"
            )
    return f"version {VERSION} is available, and its description agrees with its files"


def _check_examples(probe: SignatureProbe, clips: KnownClips) -> str:
    """Compare test clips with the trainer's predictions; the first ones over REST too."""
    source = "in the trainer's predictions"
    for start in range(0, len(clips.names), MAX_EXAMPLES):
        part = slice(start, start + MAX_EXAMPLES)
        names = clips.names[part]
        got = probe.predict({contract.EXAMPLES: clips.examples[part]}, len(names))
        probe.compare(got, clips.expected[part], names, source)
    part = slice(0, 2)
    instances = [{"b64": base64.b64encode(raw).decode()} for raw in clips.examples[part]]
    rest = [f"{name}, over REST" for name in clips.names[part]]
    probe.compare(probe.predict_rest(instances), clips.expected[part], rest, source)
    return f"{len(clips.names)} test clips agree with the trainer's predictions, by gRPC and REST"


def _check_waveforms(probe: SignatureProbe, reference: _ReferenceSounds) -> str:
    """Compare sounds with their librosa spectrograms, one at a time and several at once."""
    reference.predict(probe)
    params = reference.params
    names = list(reference.short)
    at_once = max(1, MAX_SAMPLES // params.clip_samples)
    batches = [names[:1], *(names[i : i + at_once] for i in range(0, len(names), at_once))]
    for batch in batches:
        rows = np.stack([sounds.waveform(reference.short[name]) for name in batch])
        got = probe.predict({contract.WAVEFORM: rows}, len(batch))
        probe.compare(got, _expected(reference, batch), batch, "from its spectrogram")
    got = probe.predict({contract.WAVEFORM: sounds.waveform(reference.long)[np.newaxis]}, 1)
    expected = _expected(reference, ["long"])
    probe.compare(got, expected, ["two and a half clips"], "from its spectrograms")

    silence = np.zeros((1, params.clip_samples), np.float32)
    probe.expect_left_out({contract.WAVEFORM: silence}, "silence")
    broken = silence.copy()
    broken[0, params.clip_samples // 2] = np.nan
    probe.expect_refusal({contract.WAVEFORM: broken}, "a waveform with NaN")
    short = "a waveform one sample shorter than a clip"
    probe.expect_refusal({contract.WAVEFORM: silence[:, :-1]}, short)
    return f"{len(names) + 1} sounds agree with their spectrograms; invalid waveforms are refused"


def _check_wav_files(probe: SignatureProbe, reference: _ReferenceSounds) -> str:
    """Compare the same sounds as WAV files, alone and with two lengths in one request."""
    rate = reference.params.sample_rate_hz
    files = {name: sounds.wav_bytes(pcm, rate) for name, pcm in reference.short.items()}
    files["long"] = sounds.wav_bytes(reference.long, rate)
    names = list(files)
    for batch in (names[:1], names[-2:]):
        inputs = {contract.AUDIO: np.array([files[name] for name in batch], object)}
        got = probe.predict(inputs, len(batch))
        probe.compare(got, _expected(reference, batch), batch, "from its spectrogram")
    broken = np.array([b"RIFF no sound"], object)
    probe.expect_refusal({contract.AUDIO: broken}, "a broken WAV file")
    return "WAV files agree with their spectrograms; a broken file is refused"


def _expected(reference: _ReferenceSounds, names: Iterable[str]) -> Probabilities:
    return np.stack([reference.expected[name] for name in names])


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
