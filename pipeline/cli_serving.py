"""`genreflow predict` and `genreflow serve` as they are typed: their options, nothing heavy."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from pipeline.cli_exit import finish


def predict(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Audio files, paths or s3:// URIs; and folders of them.",
            metavar="FILE|FOLDER...",
        ),
    ],
    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            metavar="HOST:PORT",
            help="Ask a model server: gRPC, or REST with http://HOST:PORT.",
        ),
    ] = "",
    model_dir: Annotated[
        str,
        typer.Option(
            "--model-dir",
            "-m",
            metavar="FOLDER",
            help="Load a model here: pushed versions, or one version; a path or an s3:// URI.",
        ),
    ] = "",
    top: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--top", min=1, help="Show only the N likeliest."),
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
            help="Files worked on at once [default: 4 with --server, else 1].",
        ),
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="HOST:PORT is that of REST (JSON over HTTP).")
    ] = False,
    model_name: Annotated[
        str,
        typer.Option("--model-name", help="As the server knows it [default: genreflow]."),
    ] = "",
    model_version: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--model-version", min=1, help="One version at the server [default: the newest]."
        ),
    ] = None,
    version_label: Annotated[
        str, typer.Option("--version-label", help="The version with this label at the server.")
    ] = "",
    timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--timeout", metavar="SECONDS", help="That one request may take [default: 60]."
        ),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt, and check the server.")] = False,
    ca_cert: Annotated[
        str, typer.Option("--ca-cert", metavar="FILE", help="Who signed the server's certificate.")
    ] = "",
    client_cert: Annotated[
        str, typer.Option("--client-cert", metavar="FILE", help="This client's certificate,")
    ] = "",
    client_key: Annotated[
        str, typer.Option("--client-key", metavar="FILE", help="and the key to it.")
    ] = "",
    api_key_file: Annotated[
        str,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="Holds the server's API key [default: GENREFLOW_API_KEY].",
        ),
    ] = "",
) -> None:
    """Print the genres of audio files with their probabilities."""
    from pipeline import cli_predict
    from pipeline.cli_predict_server import ServerOptions

    finish(
        cli_predict.predict,
        files,
        model_dir=model_dir,
        server=ServerOptions(
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
    from pipeline import cli_serve

    finish(
        cli_serve.serve,
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
