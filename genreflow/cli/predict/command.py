"""`genreflow predict`: its options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from genreflow.cli.exit import command


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
        typer.Option("--top", min=1, help="Show only the N most probable genres."),
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Also show the genre over time.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=64,
            help="Files in progress at once [default: 4 with --server, else 1].",
        ),
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Use REST (JSON over HTTP) at HOST:PORT.")
    ] = False,
    model_name: Annotated[
        str,
        typer.Option("--model-name", help="Name of the model at the server [default: genreflow]."),
    ] = "",
    model_version: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--model-version", min=1, help="Version at the server [default: the newest]."),
    ] = None,
    version_label: Annotated[
        str, typer.Option("--version-label", help="Version with this label at the server.")
    ] = "",
    timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--timeout", metavar="SECONDS", help="Time limit of one request [default: 60]."
        ),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="Encrypt, and verify the server's certificate.")
    ] = False,
    ca_cert: Annotated[
        str,
        typer.Option(
            "--ca-cert", metavar="FILE", help="Authority that signed the server's certificate."
        ),
    ] = "",
    client_cert: Annotated[
        str, typer.Option("--client-cert", metavar="FILE", help="Certificate of this client.")
    ] = "",
    client_key: Annotated[
        str, typer.Option("--client-key", metavar="FILE", help="Private key of --client-cert.")
    ] = "",
    api_key_file: Annotated[
        str,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="File with the server's API key [default: GENREFLOW_API_KEY].",
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
