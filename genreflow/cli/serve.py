"""`genreflow serve`: a model server on this machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Optional

import typer

from components.common.errors import UsageError
from components.common.escape import printable
from components.storage.uri import is_remote, place
from genreflow.cli.exit import finish


def run_server(**options: Any) -> int:
    """Serves models until told to stop; returns 0 then.

    Args:
      **options: fields of serving.server.config.options.ServeOptions.

    Raises:
      UsageError: an option or a model cannot be used.
    """
    from serving.model.model_files import ModelFolderError
    from serving.server import engines
    from serving.server.config.options import OptionError, ServeOptions

    model_dir = options["model_dir"]
    if model_dir:
        options["model_dir"] = _local(model_dir)
    try:
        return engines.serve(ServeOptions(**options), _say, _warn, _loading)
    except (OptionError, ModelFolderError) as error:
        raise UsageError(str(error)) from error


def _local(model_dir: str) -> str:
    where = place(model_dir, "--model-dir")
    if is_remote(where):
        raise UsageError(
            f"{where}: a server watches its folder for new versions, which it does on a local disk "
            f"only; copy the model (aws s3 sync {where} models) and serve that folder"
        )
    return where


def _say(line: str) -> None:
    print(printable(line), flush=True)


def _warn(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """A spinner at a terminal, for the seconds that TensorFlow takes."""
    from rich.console import Console

    with Console(stderr=True).status("loading (TensorFlow takes some seconds)"):
        yield


def serve(
    model_dir: Annotated[
        str,
        typer.Option(
            "--model-dir",
            "-m",
            metavar="FOLDER",
            help="Folder of pushed versions, watched for new ones; or one version.",
        ),
    ] = "",
    model_name: Annotated[
        str, typer.Option("--model-name", help="What clients call the model.")
    ] = "genreflow",
    model_config_file: Annotated[
        str,
        typer.Option(
            "--model-config-file",
            metavar="FILE",
            help="Several models instead: TensorFlow Serving's ModelServerConfig as text.",
        ),
    ] = "",
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for every one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="Of gRPC; 0 for a free one.")] = 8500,
    rest_port: Annotated[
        int, typer.Option("--rest-port", help="Of REST; 0 for a free one, -1 for no REST.")
    ] = 8501,
    policy: Annotated[
        str, typer.Option("--policy", help="Which versions: latest:N, all or specific:V,V.")
    ] = "latest:1",
    poll_seconds: Annotated[
        float, typer.Option("--poll-seconds", help="How often to look for new versions.")
    ] = 1.0,
    batching: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--batching/--no-batching",
            help="Run requests of equal shapes as one [default: with Genreflow's own server].",
        ),
    ] = None,
    max_batch_size: Annotated[
        int, typer.Option("--max-batch-size", help="Rows in one such run.")
    ] = 16,
    batch_timeout_ms: Annotated[
        float, typer.Option("--batch-timeout-ms", help="How long a request waits for others.")
    ] = 2.0,
    max_concurrent: Annotated[
        int, typer.Option("--max-concurrent", help="Requests in work; more are refused.")
    ] = 64,
    max_message_mb: Annotated[
        int, typer.Option("--max-message-mb", help="The largest request, in MiB.")
    ] = 64,
    max_waveform_seconds: Annotated[
        float, typer.Option("--max-waveform-seconds", help="The most sound in one request.")
    ] = 600.0,
    tls_cert: Annotated[
        str, typer.Option("--tls-cert", metavar="FILE", help="Encrypt: the certificate (PEM),")
    ] = "",
    tls_key: Annotated[
        str, typer.Option("--tls-key", metavar="FILE", help="and the key to it.")
    ] = "",
    tls_client_ca: Annotated[
        str,
        typer.Option(
            "--tls-client-ca",
            metavar="FILE",
            help="Let in only clients with a certificate signed by this one.",
        ),
    ] = "",
    api_key_file: Annotated[
        str,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="Holds the key that clients must send [default: GENREFLOW_API_KEY, or none].",
        ),
    ] = "",
    model_root: Annotated[
        str,
        typer.Option(
            "--model-root",
            metavar="FOLDER",
            help="Where reload requests may take models from [default: what is served].",
        ),
    ] = "",
    allow_reload: Annotated[
        bool,
        typer.Option(
            "--allow-reload",
            help="Take reload requests on other addresses than this machine's own too.",
        ),
    ] = False,
    grace_seconds: Annotated[
        float, typer.Option("--grace-seconds", help="How long a stop waits for requests in work.")
    ] = 15.0,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="genreflow; tensorflow-serving, if tensorflow_model_server is installed; or auto.",
        ),
    ] = "genreflow",
    ready_file: Annotated[
        str,
        typer.Option(
            "--ready-file", metavar="FILE", help="Write the ports here (JSON) once all is served."
        ),
    ] = "",
) -> None:
    """Serve a model: Genreflow's own server, which speaks TensorFlow Serving's protocol."""
    finish(
        run_server,
        model_dir=model_dir,
        model_name=model_name,
        model_config_file=model_config_file,
        host=host,
        port=port,
        rest_port=rest_port,
        policy=policy,
        poll_seconds=poll_seconds,
        batching=batching,
        max_batch_size=max_batch_size,
        batch_timeout_ms=batch_timeout_ms,
        max_concurrent=max_concurrent,
        max_message_mb=max_message_mb,
        max_waveform_seconds=max_waveform_seconds,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        api_key_file=api_key_file,
        model_root=model_root,
        allow_reload=allow_reload,
        grace_seconds=grace_seconds,
        engine=engine,
        ready_file=ready_file,
    )
