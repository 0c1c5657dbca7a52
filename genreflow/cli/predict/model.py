"""Model that `genreflow predict` uses: at a server, or loaded into this process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from components.common.errors import GenreflowError, UsageError
from components.common.model_contract import MODEL_NAME
from components.storage.uri import checked_place, is_remote, join
from genreflow.cli.messages import warn
from genreflow.cli.quiet import quiet_stderr
from serving.protocol.names import API_KEY_VARIABLE

if TYPE_CHECKING:
    from serving.client.client import GenreClient
    from serving.model.prediction import GenreModel

# VGG16, the largest model, has 0.56 GB.
MAX_MODEL_BYTES = 2 << 30
_MAX_KEY_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of the connection to a server as typed; None or empty if not typed."""

    server: str
    rest: bool = False
    model_name: str = ""
    model_version: int | None = None
    version_label: str = ""
    timeout_s: float | None = None
    tls: bool = False
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    api_key_file: str = ""

    def check(self, command: str, model_dir: str) -> None:
        """Check that one model is named, and that no option lacks the server that it is for.

        Args:
          command: name of the command, for the message.
          model_dir: the other option that names a model.

        Raises:
          UsageError: there is no model, or are two, or an option needs --server.
        """
        fields = dataclasses.fields(self)[1:]
        typed = [_flag(one.name) for one in fields if getattr(self, one.name) != one.default]
        if typed and not self.server:
            raise UsageError(
                f"{' and '.join(typed)} {'needs' if len(typed) == 1 else 'need'} --server "
                f"HOST:PORT{', in place of --model-dir' if model_dir else ''}"
            )
        if bool(model_dir) == bool(self.server):
            given = "both are given" if model_dir else "neither is given"
            raise UsageError(
                f"{command} needs --server HOST:PORT or --model-dir FOLDER, one of the two; {given}"
            )


def _flag(field: str) -> str:
    """Return the option of a field of ConnectionOptions."""
    return f"--{field.removesuffix('_s').replace('_', '-')}"


@contextlib.contextmanager
def open_client(options: ConnectionOptions) -> Iterator[GenreModel]:
    """Connect to a server, and close the connection at the end.

    Raises:
      UsageError: an option cannot be used.
      GenreflowError: the server cannot be used.
    """
    with quiet_stderr() as console, console.status("connecting to the server"):
        client = _connect(options)
    with client:
        yield client


@contextlib.contextmanager
def open_local_model(model_dir: str) -> Iterator[GenreModel]:
    """Load a model into this process.

    Args:
      model_dir: one version or a folder of versions, local or in an object store.

    Raises:
      UsageError: there is no usable model.
      StorageError: the object store cannot be read.
    """
    from serving.model.local import LocalModel
    from serving.model.model_files import ModelFolderError, resolve_version

    with _local_folder(model_dir) as folder:
        try:
            resolve_version(folder)  # checked before TensorFlow's import, which takes seconds
            with quiet_stderr() as console, console.status("loading the model (some seconds)"):
                model = LocalModel(folder)
        except ModelFolderError as error:
            raise UsageError(str(error).replace(folder, model_dir)) from error
        yield model


def check_local_model(model_dir: str) -> None:
    """Check that a folder on this machine has a model, without loading it.

    Raises:
      UsageError: there is none.
    """
    from serving.model.model_files import ModelFolderError, resolve_version

    if not is_remote(checked_place(model_dir, "--model-dir")):
        try:
            resolve_version(model_dir)
        except ModelFolderError as error:
            raise UsageError(str(error)) from error


def client_maker(options: ConnectionOptions) -> Callable[[int | None, str | None], GenreClient]:
    """Check the options, and return a function that connects to a version or label.

    The function raises serving.client.errors.ClientError.

    Raises:
      UsageError: an option cannot be used.
    """
    from serving.client.address import parse_address
    from serving.client.client import TIMEOUT_S, GenreClient
    from serving.client.errors import SettingsError
    from serving.client.transport import Tls

    files = (options.ca_cert, options.client_cert, options.client_key)
    if any(files) and not (options.tls or options.server.startswith("https://")):
        raise UsageError("--ca-cert, --client-cert and --client-key are for TLS; add --tls")
    key = read_api_key(options.api_key_file)
    try:
        address = parse_address(options.server, rest=options.rest, tls=options.tls)
        tls = Tls(*(file or None for file in files)) if address.tls else None
        if tls is not None:
            tls.check()
    except SettingsError as error:
        raise UsageError(str(error)) from error
    if key and not address.tls and not address.is_loopback:
        warn(f"the API key is sent to {address.shown} unencrypted; use --tls, or https://")

    def connect(version: int | None, label: str | None) -> GenreClient:
        return GenreClient(
            options.server,
            model_name=options.model_name or MODEL_NAME,
            model_version=version,
            version_label=label,
            rest=options.rest,
            tls=tls or False,
            api_key=key,
            timeout_s=TIMEOUT_S if options.timeout_s is None else options.timeout_s,
        )

    return connect


def _connect(options: ConnectionOptions) -> GenreClient:
    from serving.client.errors import ClientError, SettingsError

    connect = client_maker(options)
    try:
        return connect(options.model_version, options.version_label or None)
    except SettingsError as error:
        raise UsageError(str(error)) from error
    except ClientError as error:
        raise GenreflowError(str(error)) from error


def read_api_key(path: str) -> str | None:
    """Return the key from the file, else from the environment, else None."""
    if not path:
        return os.environ.get(API_KEY_VARIABLE) or None
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"--api-key-file {path}: {error.strerror}; give a readable file"
        ) from error
    if len(content) > _MAX_KEY_BYTES or not content.isascii():
        raise UsageError(
            f"--api-key-file {path}: an API key has at most {_MAX_KEY_BYTES} ASCII characters"
        )
    return content.decode("ascii")


@contextlib.contextmanager
def _local_folder(model_dir: str) -> Iterator[str]:
    """Yield the model's folder on this machine; download it from an object store if needed."""
    folder = checked_place(model_dir, "--model-dir")
    if not is_remote(folder):
        yield folder
        return
    from components.storage import objects
    from components.versions.folder import complete_versions

    versions = complete_versions(folder)
    uri = join(folder, versions[-1]) if versions else folder
    with tempfile.TemporaryDirectory(prefix="genreflow-model-") as local:
        with quiet_stderr() as console, console.status("downloading the model"):
            downloaded = objects.download_folder(uri, local, MAX_MODEL_BYTES)
        if not downloaded:
            raise UsageError(
                f"{folder}: there is nothing there; give the folder of a model's versions, or "
                "one version"
            )
        yield local
