"""Analysis of one song: decoded in a process of its own, drawn, and predicted by a server."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decode_tasks import DecodeResult
from components.audio.decoding.decoder import Decoder
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.decoding.streaming import Part
from components.common.errors import DecoderUnavailableError
from genreflow.web.errors import WebError
from genreflow.web.listen.answers import answer, csv_lines
from genreflow.web.listen.models import Choice, Models, told
from genreflow.web.listen.receiving import Limits
from genreflow.web.listen.sound import Sound
from serving.client.client import GenreClient
from serving.client.errors import ClientError
from serving.model.audio_params import described_params, similar_params

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818  an outcome
    """The client went away, or the page is being closed."""


@dataclasses.dataclass
class Job:
    """A song in progress.

    Attributes:
      path: the file.
      name: the song's name.
      choices: versions to ask, one or two.
      cancelled: set it to end the analysis at the song's next part.
    """

    path: pathlib.Path
    name: str
    choices: Sequence[Choice]
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)


class Analyser:
    """Threads that analyse songs, each with a decoding process."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self._models, self._limits = models, limits
        self._decoders: queue.SimpleQueue[IsolatedDecoder] = queue.SimpleQueue()
        decode_limits = _decode_limits(limits)
        self._all = [IsolatedDecoder(decode_limits, quiet=True) for _ in range(limits.analyses)]
        for decoder in self._all:
            self._decoders.put(decoder)
        self._jobs: set[threading.Event] = set()
        self._pool = concurrent.futures.ThreadPoolExecutor(
            limits.analyses, thread_name_prefix="song"
        )

    def warm_up(self) -> None:
        """Start the decoding processes and import what the first song needs, in the background."""

        def work() -> None:
            import librosa  # noqa: F401
            import soxr  # noqa: F401

            for decoder in self._all:
                decoder.start()

        self._pool.submit(work)

    def submit(self, job: Job) -> concurrent.futures.Future[dict[str, Any]]:
        """Analyse a song as soon as a thread is free.

        The future's result is the page's answer. Its exception is a WebError, or Cancelled.
        """
        self._jobs.add(job.cancelled)
        future = self._pool.submit(self._run, job)
        future.add_done_callback(lambda _: self._jobs.discard(job.cancelled))
        return future

    def close(self) -> None:
        """Cancel everything, and end the decoding processes."""
        for cancelled in list(self._jobs):
            cancelled.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._models.close()  # fails requests in progress
        self._pool.shutdown(wait=True)
        for decoder in self._all:
            decoder.close()

    def _run(self, job: Job) -> dict[str, Any]:
        decoder = self._decoders.get()
        begin = time.monotonic()
        try:
            return self._analyse(job, decoder, begin)
        except DecodeError as error:
            raise WebError(422, f"{error.detail} ({error.reason})") from error
        except ClientError as error:
            raise told(error) from error
        except DecoderUnavailableError as error:
            raise WebError(503, str(error)) from error
        finally:
            self._decoders.put(decoder)

    def _analyse(self, job: Job, decoder: IsolatedDecoder, begin: float) -> dict[str, Any]:
        def check(seconds: float, claimed_s: float | None) -> None:
            if job.cancelled.is_set():
                raise Cancelled
            longest = self._limits.song_seconds
            if max(seconds, claimed_s or 0.0) > longest:
                raise WebError(
                    413,
                    f"the song is longer than {longest / 60:g} minutes, the longest that this page "
                    "takes; cut it, restart with --max-minutes, or use `genreflow predict`",
                )
            if time.monotonic() - begin > self._limits.analysis_seconds:
                raise WebError(
                    504, f"the song took more than {self._limits.analysis_seconds:g} seconds; retry"
                )

        check(0.0, None)
        answers, lines, sound = [], [], None
        for choice in job.choices:
            client = self._models.client(choice)
            heard = _Listener(decoder, client, check, draw=sound is None)
            prediction = client.predict_file(job.path, decoder=heard)
            sound = sound or heard.sound
            facts = self._models.facts(client)
            answers.append(answer(prediction, job.name, choice.text, facts))
            lines.append(csv_lines(prediction, job.name, facts))
        assert sound is not None
        return {
            "file": job.name,
            "seconds": answers[0]["seconds"],
            "elapsed_s": round(time.monotonic() - begin, 3),
            "answers": answers,
            "sound": sound.to_json(),
            "csv": "".join(lines),
        }


class _Listener(Decoder):
    """Decoder that passes on another's parts, and draws them."""

    def __init__(
        self,
        decoder: Decoder,
        client: GenreClient,
        check: Callable[[float, float | None], None],
        *,
        draw: bool,
    ) -> None:
        self._decoder, self._client, self._check, self._draw = decoder, client, check, draw
        self.sound: Sound | None = None

    def stream(
        self, path: str | pathlib.Path, rate_hz: int, window_samples: int, windows: int = 1
    ) -> Iterator[Part]:
        """Decode part by part; a new version of another kind makes the client start again."""
        if self._draw:
            described = self._client.description
            exact = described_params(described)
            params = exact or similar_params(described)
            if (params.sample_rate_hz, params.clip_samples) != (rate_hz, window_samples):
                raise WebError(503, "the model is being replaced; retry", retry_after_s=1)
            self.sound = Sound(params, is_exact=exact is not None)
        for part in self._decoder.stream(path, rate_hz, window_samples, windows):
            self._check(part.seconds, part.claimed_seconds)
            if self.sound is not None:
                self.sound.add(part.samples)
            yield part

    def _execute(
        self,
        task: str,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        return self._decoder._execute(task, arguments, max_samples, parse)


def _decode_limits(limits: Limits) -> DecodeLimits:
    return DecodeLimits(timeout_seconds=min(DecodeLimits.timeout_seconds, limits.analysis_seconds))
