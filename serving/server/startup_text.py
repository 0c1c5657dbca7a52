"""Lines that `genreflow serve` prints while it starts."""

from __future__ import annotations

import pathlib
import shlex
import shutil
import sys
from collections.abc import Iterator

from components.common.model_contract import MODEL_NAME, SAVED_MODEL
from components.common.version_files import VERSION_NAME
from serving.protocol.names import API_KEY_HEADER
from serving.server.config.options import NO_REST
from serving.server.config.settings import ModelConfig
from serving.server.listening import is_loopback, join_address
from serving.server.models import versions
from serving.server.server_settings import ServerSettings


def loading(model: ModelConfig) -> str:
    """Return the line for a model that is about to be loaded.

    It names the version if only one can be meant.
    """
    found = [
        int(entry.parent.name)
        for entry in model.base_path.glob(f"*/{SAVED_MODEL}")
        if VERSION_NAME.fullmatch(entry.parent.name)
    ]
    wanted = versions.candidates(found, model.policy)
    is_one = min(len(wanted), versions.max_served(model.policy)) == 1
    version = f"version {wanted[0]} " if is_one else ""
    return f"loading {model.name} {version}from {model.base_path}"


def warnings(settings: ServerSettings) -> Iterator[str]:
    """Yield warnings about an address that others can reach and that is not protected."""
    host, tls = settings.options.host, settings.tls
    if is_loopback(host):
        return
    if tls is None:
        yield (
            f"warning: other machines can reach {host}, and traffic is not encrypted; encrypt it "
            "with --tls-cert and --tls-key"
        )
    if settings.api_key is None and (tls is None or tls.client_ca is None):
        yield (
            f"warning: anyone who reaches {host} can use this server; restrict it with "
            "--api-key-file or --tls-client-ca"
        )


def introduction(settings: ServerSettings, port: int, rest_port: int) -> Iterator[str]:
    """Yield the lines that say where the server answers and how to try it.

    Args:
      settings: the server's settings.
      port: the gRPC port.
      rest_port: the REST port; -1 without REST.
    """
    options, tls = settings.options, settings.tls
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    host = reachable.get(options.host, options.host)
    name = settings.models[0].name
    path = f"/v1/models/{name}"
    scheme = "http" if tls is None else "https"
    yield "Genreflow's own server, which speaks TensorFlow Serving's protocol:"
    yield f"  gRPC  {join_address(options.host, port)}"
    if rest_port != NO_REST:
        yield f"  REST  {scheme}://{join_address(options.host, rest_port)}{path}"
    client = "" if name == MODEL_NAME else f" --model-name {shlex.quote(name)}"
    curl = ""
    if tls is not None:
        client += " --tls --ca-cert CA.pem"
        curl += "--cacert CA.pem "
        if tls.client_ca is not None:
            client += " --client-cert CERT.pem --client-key KEY.pem"
            curl += "--cert CERT.pem --key KEY.pem "
    if settings.api_key is not None:
        client += " --api-key-file FILE"
        curl += f"-H '{API_KEY_HEADER}: ...' "
    yield "try it:"
    yield f"  {_program()} predict song.mp3 --server {join_address(host, port)}{client}"
    if rest_port != NO_REST:
        yield f"  curl {curl}{scheme}://{join_address(host, rest_port)}{path}"
    yield "stop it: Ctrl-C"


def _program() -> str:
    """Return the command `genreflow`, or its path if the shell would not find it."""
    beside = pathlib.Path(sys.executable).with_name("genreflow")
    is_found = shutil.which("genreflow") or not beside.is_file()
    return "genreflow" if is_found else shlex.quote(str(beside))
