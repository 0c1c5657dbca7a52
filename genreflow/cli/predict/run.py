"""`genreflow predict`: the genres of audio files, by a model here or at a server."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import json
import queue
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from components.common.errors import GenreflowError, UsageError
from components.common.escape import printable
from components.storage.uri import is_remote, join, place
from genreflow.cli.predict.inputs import audio_files
from genreflow.cli.predict.output import as_json, show
from genreflow.cli.predict.progress import Bars
from genreflow.cli.predict.server import ServerOptions, connect
from genreflow.cli.quiet import quiet_stderr

if TYPE_CHECKING:
    from components.audio.decoding.decoder import Decoder
    from serving.model.prediction import GenreModel, Prediction

# VGG16 at its largest has 0.56 GB.
MAX_MODEL_BYTES = 2 << 30
# Recordings worked on at once. A model in this process has all cores for one already.
SERVER_JOBS, LOCAL_JOBS = 4, 1


def predict(
    given: Sequence[str],
    *,
    model_dir: str,
    server: ServerOptions,
    top: int,
    json_output: bool,
    timeline: bool,
    jobs: int,
) -> int:
    """Prints each file's genres; returns 1 if any file had none, else 0.

    Args:
      given: audio files, local or in an object store, and local folders.
      model_dir: a folder of versions, or one version; likewise. Or
      server: a model server; exactly one of both.
      top: how many genres to show; 0 for all.
      json_output: one JSON list instead of tables.
      timeline: also the genre over time.
      jobs: how many files are worked on at once; 0 for the usual number.

    Raises:
      UsageError: not exactly one model, or it cannot be used; a folder without audio.
      StorageError: an object store cannot be asked.
      GenreflowError: the server cannot be used.
    """
    if bool(model_dir) == bool(server.server):
        both = "both were given" if model_dir else "neither was"
        raise UsageError(
            f"predict needs --server HOST:PORT or --model-dir FOLDER, one of the two; {both}"
        )
    if model_dir and server != ServerOptions(""):
        raise UsageError("options of a server (--rest, --tls, --timeout, ...) need --server")
    files = audio_files(given)
    jobs = min(len(files), jobs or (LOCAL_JOBS if model_dir else SERVER_JOBS))
    with (
        _decoders(files, jobs) as decoders,
        _local_model(model_dir) if model_dir else _client(server) as model,
        _Work(model, decoders, len(files)) as work,
    ):
        return _print(work, model, files, top=top, json_output=json_output, timeline=timeline)


@contextlib.contextmanager
def _decoders(files: Sequence[str], count: int) -> Iterator[list[Decoder]]:
    """As many as work at once; they read files wherever these lie."""
    from components.audio.decoding.isolation import IsolatedDecoder
    from components.audio.decoding.limits import DecodeLimits

    with contextlib.ExitStack() as stack:
        isolated = [stack.enter_context(IsolatedDecoder(DecodeLimits())) for _ in range(count)]
        decoders: list[Decoder] = list(isolated)
        if any(is_remote(path) for path in files):
            from components.datasets.files.fetching import Fetcher, FetchingDecoder
            from components.datasets.track import Track
            from components.storage.client import CONNECTIONS

            tracks = [Track(uri, uri, "") for uri in files]
            fetcher = stack.enter_context(Fetcher(tracks, ahead=CONNECTIONS))
            decoders = [FetchingDecoder(one, fetcher) for one in isolated]
        with quiet_stderr():
            for one in isolated:
                one.start()
        yield decoders


@contextlib.contextmanager
def _client(options: ServerOptions) -> Iterator[GenreModel]:
    with quiet_stderr() as console, console.status("asking the server"):
        client = connect(options)
    with client:
        yield client


@contextlib.contextmanager
def _local_model(model_dir: str) -> Iterator[GenreModel]:
    from serving.model.local import LocalModel
    from serving.model.model_files import ModelFolderError, resolve_version

    with _local_folder(model_dir) as local:
        try:
            resolve_version(local)  # before the seconds that TensorFlow takes
            with quiet_stderr() as console, console.status("loading the model (some seconds)"):
                model = LocalModel(local)
        except ModelFolderError as error:
            raise UsageError(str(error).replace(local, model_dir)) from error
        yield model


@contextlib.contextmanager
def _local_folder(model_dir: str) -> Iterator[str]:
    """The model's folder on this machine: fetched, where it lies in an object store."""
    where = place(model_dir, "--model-dir")
    if not is_remote(where):
        yield where
        return
    from components.storage import objects
    from pipeline.places import complete_versions

    versions = complete_versions(where)
    uri = join(where, versions[-1]) if versions else where
    with tempfile.TemporaryDirectory(prefix="genreflow-model-") as folder:
        with quiet_stderr() as console, console.status("fetching the model"):
            fetched = objects.download_folder(uri, folder, MAX_MODEL_BYTES)
        if not fetched:
            raise UsageError(
                f"{where}: there is nothing there; give the folder of a model's "
                "versions, or one version"
            )
        yield folder


class _Work:
    """Files worked on by threads, each with a decoder of its own while it needs one."""

    def __init__(self, model: GenreModel, decoders: Sequence[Decoder], files: int) -> None:
        self._model = model
        self._free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        for decoder in decoders:
            self._free.put(decoder)
        self._stopping = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(len(decoders))
        self.bars = Bars(files)

    def __enter__(self) -> _Work:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._stopping.set()  # what is under way ends with its next answer,
            self._model.close()  # and a server is not waited for
        self._pool.shutdown(cancel_futures=True)
        self.bars.close()

    def outcomes(self, files: Sequence[str]) -> Iterator[tuple[str, Prediction | str]]:
        """Each file with its prediction or what is wrong with it, in the order given."""
        # What was given out is not kept.
        waiting = collections.deque(self._pool.submit(self._one, path) for path in files)
        for path in files:
            with self.bars.visible():
                outcome = waiting.popleft().result()
            yield path, outcome

    def _one(self, path: str) -> Prediction | str:
        from components.audio.decoding.decode import DecodeError
        from serving.client.errors import RequestError

        decoder = self._free.get()
        try:
            with self.bars.recording(path) as move:

                def on_progress(done_s: float, total_s: float) -> None:
                    if self._stopping.is_set():
                        raise concurrent.futures.CancelledError
                    move(done_s, total_s)

                return self._model.predict_file(path, decoder=decoder, on_progress=on_progress)
        except DecodeError as error:
            return f"{error.detail} ({error.reason})"
        except RequestError as error:
            return str(error)
        finally:
            self._free.put(decoder)


def _print(
    work: _Work,
    model: GenreModel,
    files: Sequence[str],
    *,
    top: int,
    json_output: bool,
    timeline: bool,
) -> int:
    from serving.client.errors import ClientError

    out = Console()
    answers = []
    done = failed = 0
    try:
        for path, outcome in work.outcomes(files):
            synthetic = bool(model.model_card.get("synthetic"))
            if isinstance(outcome, str):
                failed += 1
                print(f"genreflow: {printable(path)}: {printable(outcome)}", file=sys.stderr)
                continue
            done += 1
            if json_output:
                answers.append(as_json(outcome, top, timeline=timeline, synthetic=synthetic))
            else:
                show(out, outcome, top, timeline=timeline, synthetic=synthetic)
    except ClientError as error:
        left = f"; {done} of {len(files)} files were answered before" if len(files) > 1 else ""
        raise GenreflowError(f"{error}{left}") from error
    finally:
        if json_output:
            # ASCII: names that are not UTF-8 pass too. What was done, where a server left.
            print(json.dumps(answers, indent=2))
    if failed and len(files) > 1:
        print(f"genreflow: {done} of {len(files)} files answered, {failed} not", file=sys.stderr)
    return 1 if failed else 0
