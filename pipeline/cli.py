"""The `genreflow` command. Importing this module must stay instant."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(
    name="genreflow",
    help="Train music-genre models from audio, judge them, and push what is blessed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_WORK_DIR = "./genreflow-work"
EXIT_FAILED, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 1, 2, 3, 130

ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="TOML file, or the name of a shipped one (demo).")
]
DataDirOption = Annotated[
    str,
    typer.Option(
        "--data-dir",
        "-d",
        help="The data set's folder, a path or s3://bucket/folder [default: as configured].",
    ),
]
WorkDirOption = Annotated[
    str, typer.Option("--work-dir", "-w", help="Where everything is written and cached.")
]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override, e.g. training.epochs=3; repeatable."
    ),
]
RequireBlessingOption = Annotated[
    bool, typer.Option("--require-blessing", help="Exit with 3 when the candidate is refused.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"genreflow {importlib.metadata.version('genreflow')}")
        raise typer.Exit


@app.callback()
def genreflow(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train music-genre models from audio, judge them, and push what is blessed."""


@app.command()
def run(
    config: ConfigOption,
    data_dir: DataDirOption = "",
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    overrides: SetOption = None,
    require_blessing: RequireBlessingOption = False,
) -> None:
    """Run the whole pipeline: audio in, a judged and pushed model out."""
    from pipeline import cli_run

    _finish(
        cli_run.run,
        config,
        data_dir=data_dir,
        work_dir=work_dir,
        overrides=overrides or [],
        require_blessing=require_blessing,
    )


@app.command()
def demo(
    work_dir: WorkDirOption = "./genreflow-demo",
    overrides: SetOption = None,
) -> None:
    """Run everything on a small synthetic corpus: no data needed, a few minutes."""
    from pipeline import cli_run

    _finish(
        cli_run.run,
        "demo",
        data_dir="",
        work_dir=work_dir,
        overrides=overrides or [],
        require_blessing=False,
    )


@app.command("check-data")
def check_data(
    config: ConfigOption,
    data_dir: DataDirOption = "",
    overrides: SetOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="Decode every file; else only headers are read.")
    ] = False,
    rejects: Annotated[
        str, typer.Option("--rejects", help="Also write the tracks left out to this CSV file.")
    ] = "",
) -> None:
    """Count what a run would read, and say what it would leave out and cost."""
    from pipeline import cli_check

    _finish(
        cli_check.check_data,
        config,
        data_dir=data_dir,
        overrides=overrides or [],
        full=full,
        rejects_csv=rejects,
    )


@app.command()
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

    _finish(
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


@app.command()
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

    _finish(
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


@app.command()
def compare(
    work_dirs: Annotated[
        list[str],
        typer.Argument(help="Work folders of finished runs, two or more.", metavar="WORK_DIR..."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME", help="Look at this model of each run [default: candidates]."
        ),
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    csv_file: Annotated[
        str, typer.Option("--csv", metavar="FILE", help="Also write all numbers to this file.")
    ] = "",
) -> None:
    """Put finished runs side by side, with the differences to the first and their intervals."""
    from pipeline import cli_compare

    _finish(cli_compare.compare, work_dirs, model=model, json_output=json_output, csv_file=csv_file)


@app.command()
def report(
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    open_it: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--open/--no-open",
            help="Show it in a browser [default: at a terminal with a display].",
        ),
    ] = None,
) -> None:
    """Print where the last run's report is, and show it."""
    from pipeline import cli_report

    _finish(cli_report.report, work_dir, wanted=open_it)


@app.command()
def devices() -> None:
    """Print what training would use here (GPUs, precision), and what is missing for more."""
    from pipeline import cli_devices

    _finish(cli_devices.devices)


kubeflow_app = typer.Typer(
    help="The same pipeline on Kubeflow Pipelines.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(kubeflow_app, name="kubeflow")


@kubeflow_app.command("compile")
def kubeflow_compile(
    config: ConfigOption,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")
    ] = "pipeline.yaml",
    image: Annotated[
        str, typer.Option("--image", help="What every step runs [default: kubeflow.image].")
    ] = "",
    data_dir: DataDirOption = "",
    overrides: SetOption = None,
) -> None:
    """Write the pipeline as a file that Kubeflow Pipelines runs."""
    from pipeline import cli_kubeflow

    _finish(
        cli_kubeflow.compile_pipeline,
        config,
        image=image,
        output=output,
        data_dir=data_dir,
        overrides=overrides or [],
    )


def _finish(command: Any, *args: Any, **kwargs: Any) -> None:
    """Runs a command and turns its end into an exit status; no traceback for users."""
    from components.errors import GenreflowError, UsageError

    try:
        # A terminated run is stopped in order too, its worker and its scratch files with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        status = command(*args, **kwargs)
    except UsageError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_USAGE) from None
    except GenreflowError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:  # what was named on the command line, or where output goes
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        typer.echo("\ninterrupted; nothing half-made is used: type it again to go on", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(status or 0)


def _complain(message: str) -> None:
    from components.inert import inert

    lines = message.splitlines() or ["failed without a word"]
    typer.echo("genreflow: " + "\n".join(inert(line) for line in lines), err=True)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names that the terminal's encoding lacks are escaped; output never fails on them.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:  # before a command had begun
        sys.exit(EXIT_INTERRUPTED)
