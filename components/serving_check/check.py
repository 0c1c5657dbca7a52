"""What is asked of a server that holds the candidate: every signature, and what must be refused.

The first answer that is wrong ends it: its reason is the outcome.
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
from components.serving_check.trial import Asked, Probabilities, Trial, check_model

# In the order in which they are tried.
SIGNATURES: tuple[SignatureName, ...] = (
    contract.DESCRIBE,
    contract.SERVING_EXAMPLES,
    contract.SERVING_DEFAULT,
    contract.SERVING_WAV,
)
# Clips in one request, so that long clips make no message that a server refuses.
EXAMPLES_AT_ONCE = 16
SAMPLES_AT_ONCE = 2_000_000


def check_server(
    client: Asked,
    assets: ModelAssets,
    clips: KnownClips,
    tolerance: float,
    advance: Callable[[str], None] = lambda signature: None,
) -> list[SignatureCheck]:
    """Tries all signatures in turn, up to the first that fails.

    Args:
      client: asks the server.
      assets: what the candidate's files say.
      clips: test clips with the trainer's predictions.
      tolerance: of every probability.
      advance: called with the name of each signature before it is tried.
    """
    heard = _Sounds(assets.params)
    trials: dict[str, Callable[[Trial], str]] = {
        contract.DESCRIBE: lambda trial: _describe(trial, assets),
        contract.SERVING_EXAMPLES: lambda trial: _examples(trial, clips),
        contract.SERVING_DEFAULT: lambda trial: _waveform(trial, heard),
        contract.SERVING_WAV: lambda trial: _wav(trial, heard),
    }
    done: list[SignatureCheck] = []
    for signature in SIGNATURES:
        advance(signature)
        trial = Trial(client, signature, assets.genres, tolerance)
        try:
            text = trials[signature](trial)
        except CheckFailed as failure:
            text = str(failure)
            done.append(SignatureCheck(signature, trial.requests, trial.largest, "failed", text))
            break
        done.append(SignatureCheck(signature, trial.requests, trial.largest, "passed", text))
    return done


class _Sounds:
    """Sounds, and what the model says of their spectrograms, by librosa, once it was asked."""

    def __init__(self, params: AudioParams) -> None:
        self.params = params
        self.short = sounds.windows(params)
        self.long = sounds.long_window(params)
        self.expected: dict[str, Probabilities] = {}

    def ask(self, trial: Trial) -> None:
        """Fills `expected`: `[genres]` by name; "long" is the mean over its whole clips."""
        for name, pcm in self.short.items():
            (self.expected[name],) = self._spectrograms(trial, [pcm])
        size = self.params.clip_samples
        halves = [self.long[start : start + size] for start in (0, size)]
        self.expected["long"] = self._spectrograms(trial, halves).mean(axis=0)

    def _spectrograms(self, trial: Trial, clips: list[npt.NDArray[np.int16]]) -> Probabilities:
        mel_db = log_mel(np.stack([sounds.waveform(pcm) for pcm in clips]), self.params)
        examples = [
            serialize(Clip("", "", "", 0, 0, 0.0, to_stored(m)), self.params) for m in mel_db
        ]
        inputs = {contract.EXAMPLES: np.array(examples, object)}
        return trial.ask(inputs, len(clips), contract.SERVING_EXAMPLES)


def _describe(trial: Trial, assets: ModelAssets) -> str:
    """What the server says of the model, against the model's files."""
    states = trial.client.states()
    if states != {VERSION: "AVAILABLE"}:
        raise CheckFailed(f"GetModelStatus: versions are {states}, not {{{VERSION}: 'AVAILABLE'}}")
    lacking = set(SIGNATURES) - trial.client.signatures()
    if lacking:
        raise CheckFailed(f"GetModelMetadata: no signature {', '.join(sorted(lacking))}")
    answer = trial.client.predict(contract.DESCRIBE, {contract.QUERY: np.array([b""], object)})
    check_model(answer, contract.DESCRIBE)
    try:
        rows = {name: value.tolist() for name, value in answer.outputs.items()}
        outputs = {name: row for name, (row,) in rows.items()}  # of one question
        said = {
            "genres": [name.decode() for name in outputs[contract.GENRES]],
            "sample_rate_hz": outputs["sample_rate_hz"],
            "clip_samples": outputs["clip_samples"],
            "audio_params": outputs["audio_params"].decode(),
            "model_card": json.loads(outputs["model_card"]),
        }
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckFailed(f"the answer does not describe a model ({error!r})") from error
    files = {
        "genres": list(assets.genres),
        "sample_rate_hz": assets.params.sample_rate_hz,
        "clip_samples": assets.params.clip_samples,
        "audio_params": assets.audio_hash,
        "model_card": assets.card,
    }
    for name, value in files.items():
        if said[name] != value:
            raise CheckFailed(
                f"{name} is {_short(said[name])} from the server and {_short(value)} in the "
                "model's assets"
            )
    return f"version {VERSION} is available and is what its files say"


def _examples(trial: Trial, clips: KnownClips) -> str:
    """Test clips against the trainer's own predictions; the first ones over REST too."""
    truth = "in the trainer's predictions"
    for start in range(0, len(clips.names), EXAMPLES_AT_ONCE):
        part = slice(start, start + EXAMPLES_AT_ONCE)
        names = clips.names[part]
        got = trial.ask({contract.EXAMPLES: clips.examples[part]}, len(names))
        trial.compare(got, clips.expected[part], names, truth)
    part = slice(0, 2)
    instances = [{"b64": base64.b64encode(raw).decode()} for raw in clips.examples[part]]
    rest = [f"{name}, over REST" for name in clips.names[part]]
    trial.compare(trial.ask_rest(instances), clips.expected[part], rest, truth)
    return f"{len(clips.names)} test clips as the trainer predicted them, over gRPC and REST"


def _waveform(trial: Trial, heard: _Sounds) -> str:
    """Sounds against librosa's spectrograms of them; one at a time and several at once."""
    heard.ask(trial)
    params = heard.params
    names = list(heard.short)
    at_once = max(1, SAMPLES_AT_ONCE // params.clip_samples)
    batches = [names[:1], *(names[i : i + at_once] for i in range(0, len(names), at_once))]
    for batch in batches:
        rows = np.stack([sounds.waveform(heard.short[name]) for name in batch])
        got = trial.ask({contract.WAVEFORM: rows}, len(batch))
        trial.compare(got, _of(heard, batch), batch, "by its spectrogram")
    got = trial.ask({contract.WAVEFORM: sounds.waveform(heard.long)[np.newaxis]}, 1)
    trial.compare(got, _of(heard, ["long"]), ["two clips and a half"], "by its spectrograms")

    silence = np.zeros((1, params.clip_samples), np.float32)
    broken = silence.copy()
    broken[0, params.clip_samples // 2] = np.nan
    trial.refused({contract.WAVEFORM: broken}, "a sample that is not a number")
    trial.refused({contract.WAVEFORM: silence[:, :-1]}, "a waveform one sample shorter than a clip")
    return f"{len(names) + 1} sounds as by their spectrograms; what is no sound is refused"


def _wav(trial: Trial, heard: _Sounds) -> str:
    """The same sounds as WAV files; alone, and of two lengths in one request."""
    rate = heard.params.sample_rate_hz
    files = {name: sounds.wav_bytes(pcm, rate) for name, pcm in heard.short.items()}
    files["long"] = sounds.wav_bytes(heard.long, rate)
    names = list(files)
    for batch in (names[:1], names[-2:]):
        got = trial.ask({contract.AUDIO: np.array([files[n] for n in batch], object)}, len(batch))
        trial.compare(got, _of(heard, batch), batch, "by its spectrogram")
    trial.refused({contract.AUDIO: np.array([b"RIFF no sound"], object)}, "a file that is no WAV")
    return "WAV files as by their spectrograms; what is none is refused"


def _of(heard: _Sounds, names: Iterable[str]) -> Probabilities:
    return np.stack([heard.expected[name] for name in names])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
