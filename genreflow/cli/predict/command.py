"""`genreflow predict`: its options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown

_OUTPUT, _SERVER = "Output", "Connection to a server"


@shown(
    USE,
    "genreflow predict song.mp3 --model-dir genreflow-work/serving_models/genreflow",
    "genreflow predict ~/music --server localhost:8500 --json",
    "genreflow predict - --server localhost:8500 --timeline < song.mp3",
)
@command
def predict(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Audio files (paths or s3:// URIs), folders of them, or - for standard input.",
            metavar="FILE|FOLDER...",
        ),
    ],
    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            metavar="HOST:PORT",
            help="Use a model server: gRPC, or REST with http://HOST:PORT.",
        ),
    ] = "",
    model_dir: Annotated[
        str,
        typer.Option(
            "--model-dir",
            "-m",
            metavar="FOLDER",
            help="Load a model: a folder of versions, or one version; a path or an s3:// URI.",
        ),
    ] = "",
    top: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help="Show only the N most probable genres.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    timeline: Annotated[
        bool,
        typer.Option("--timeline", help="Also show the genre over time.", rich_help_panel=_OUTPUT),
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print JSON instead.", rich_help_panel=_OUTPUT)
    ] = False,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            max=64,
            help="Files in progress at once [default: 4 with --server, else 1].",
        ),
    ] = None,
    rest: Annotated[
        bool,
        typer.Option(
            "--rest", help="Use REST (JSON over HTTP) at HOST:PORT.", rich_help_panel=_SERVER
        ),
    ] = False,
    model_name: Annotated[
        str,
        typer.Option(
            "--model-name",
            metavar="NAME",
            help="Name of the model at the server [default: genreflow].",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    model_version: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--model-version",
            metavar="N",
            min=1,
            help="Version at the server [default: the newest].",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    version_label: Annotated[
        str,
        typer.Option(
            "--version-label",
            metavar="LABEL",
            help="Version with this label at the server.",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Time limit of one request [default: 60].",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            help="Encrypt, and verify the server's certificate.",
            rich_help_panel=_SERVER,
        ),
    ] = False,
    ca_cert: Annotated[
        str,
        typer.Option(
            "--ca-cert",
            metavar="FILE",
            help="Authority that signed the server's certificate.",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    client_cert: Annotated[
        str,
        typer.Option(
            "--client-cert",
            metavar="FILE",
            help="Certificate of this client.",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    client_key: Annotated[
        str,
        typer.Option(
            "--client-key",
            metavar="FILE",
            help="Private key of --client-cert.",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    api_key_file: Annotated[
        str,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="File with the server's API key [default: GENREFLOW_API_KEY].",
            rich_help_panel=_SERVER,
        ),
    ] = "",
) -> int:
    """Print the genres of audio files with their probabilities."""
    from genreflow.cli.predict import run
    from genreflow.cli.predict.model import ConnectionOptions

    return run.predict(
        files,
        model_dir=model_dir,
        connection=ConnectionOptions(
            server=server,
            rest=rest,
            model_name=model_name,
            model_version=model_version,
            version_label=version_label,
            timeout_s=timeout,
            tls=tls,
            ca_cert=ca_cert,
            client_cert=client_cert,
            client_key=client_key,
            api_key_file=api_key_file,
        ),
        top=top or 0,
        json_output=json_output,
        timeline=timeline,
        jobs=jobs or 0,
    )
