"""`genreflow kubeflow submit|schedule|runs|watch` as they are typed: options, nothing heavy."""

from __future__ import annotations

import enum
from typing import Annotated, Optional

import typer

from genreflow.cli.exit import finish
from genreflow.cli.options import ConfigOption, SetOption

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="What genreflow kubeflow compile wrote.")
]
HostOption = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="URL",
        help="Kubeflow Pipelines, such as https://kubeflow.example.org/pipeline "
        "[default: KF_PIPELINES_ENDPOINT].",
    ),
]
NamespaceOption = Annotated[
    str,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Your profile's, where Kubeflow has many users [default: KF_PIPELINES_NAMESPACE].",
    ),
]
CaCertOption = Annotated[
    str,
    typer.Option("--ca-cert", metavar="FILE", help="Who signed the host's certificate (PEM)."),
]
ParamOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--param",
        "-p",
        metavar="KEY=VALUE",
        help="A run's parameter, repeatable: data_dir, pipeline_root and push_destination "
        "(folders: s3://..., or on the steps' volume), or overrides (JSON of settings, e.g. "
        """'overrides={"training.epochs": 3}'). [default: as compiled].""",
    ),
]
ExperimentOption = Annotated[
    str, typer.Option("--experiment", metavar="NAME", help="Made where there is none of the name.")
]
ServiceAccountOption = Annotated[
    str,
    typer.Option(
        "--service-account",
        metavar="NAME",
        help="The account whose rights the steps have, e.g. genreflow-runner [default: "
        "Kubeflow's].",
    ),
]
IntervalOption = Annotated[
    float,
    typer.Option("--interval", min=0.2, max=3600.0, help="Seconds between two looks."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def submit(
    file: FileArgument,
    params: ParamOption = None,
    experiment: ExperimentOption = "genreflow",
    run_name: Annotated[
        str, typer.Option("--run-name", metavar="NAME", help="[default: genreflow and the time].")
    ] = "",
    service_account: ServiceAccountOption = "",
    watch_it: Annotated[
        bool, typer.Option("--watch", help="Follow the run; the exit status is the run's.")
    ] = False,
    interval: IntervalOption = 5.0,
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> None:
    """Start a run of a compiled pipeline.

    A token is taken from KF_PIPELINES_TOKEN, or from the file that KF_PIPELINES_SA_TOKEN_PATH
    names. All that can be checked is checked before anything is sent.
    """
    from genreflow.cli.kubeflow import runs as cli_kubeflow_runs

    finish(
        cli_kubeflow_runs.submit,
        cli_kubeflow_runs.Where(host, namespace, ca_cert),
        file,
        params=params or [],
        experiment=experiment,
        name=run_name,
        service_account=service_account,
        watch_it=watch_it,
        interval_s=interval,
        json_output=json_output,
    )


def schedule(
    file: FileArgument,
    cron: Annotated[
        str,
        typer.Option(
            "--cron",
            metavar="WHEN",
            help="In UTC: second minute hour day month weekday, such as '0 0 3 * * *'; or five "
            "fields, without seconds; or @hourly, @daily, @weekly, @monthly, @yearly.",
        ),
    ],
    params: ParamOption = None,
    experiment: ExperimentOption = "genreflow",
    name: Annotated[
        str, typer.Option("--run-name", metavar="NAME", help="The schedule's, and its runs'.")
    ] = "genreflow",
    service_account: ServiceAccountOption = "",
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> None:
    """Start runs again and again, one at a time.

    A token is taken as for submit.
    """
    from genreflow.cli.kubeflow import runs as cli_kubeflow_runs

    finish(
        cli_kubeflow_runs.schedule,
        cli_kubeflow_runs.Where(host, namespace, ca_cert),
        file,
        cron=cron,
        params=params or [],
        experiment=experiment,
        name=name,
        service_account=service_account,
        json_output=json_output,
    )


def runs(
    experiment: Annotated[
        str, typer.Option("--experiment", metavar="NAME", help="Those of one experiment alone.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 20,
    json_output: JsonOption = False,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> None:
    """List the latest runs."""
    from genreflow.cli.kubeflow import runs as cli_kubeflow_runs

    finish(
        cli_kubeflow_runs.runs,
        cli_kubeflow_runs.Where(host, namespace, ca_cert),
        limit=limit,
        experiment=experiment,
        json_output=json_output,
    )


def watch(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="As submit and runs print it.")],
    interval: IntervalOption = 5.0,
    host: HostOption = "",
    namespace: NamespaceOption = "",
    ca_cert: CaCertOption = "",
) -> None:
    """Follow a run until it is over.

    Shows each step's state as it changes. The exit status is the run's; Ctrl-C leaves it running.
    """
    from genreflow.cli.kubeflow import runs as cli_kubeflow_runs

    finish(
        cli_kubeflow_runs.watch,
        cli_kubeflow_runs.Where(host, namespace, ca_cert),
        run_id,
        interval_s=interval,
    )


app = typer.Typer(
    help="The same pipeline on Kubeflow Pipelines.", no_args_is_help=True, rich_markup_mode=None
)


class Target(enum.Enum):
    """What the pipeline is compiled for."""

    KUBEFLOW = "kubeflow"
    VERTEX = "vertex"


@app.command("compile")
def compile_(
    config: ConfigOption,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, and the folders that it lacks [default: pipeline.yaml, or "
            "pipeline.json for vertex].",
        ),
    ] = "",
    image: Annotated[
        str, typer.Option("--image", help="What every step runs [default: kubeflow.image].")
    ] = "",
    target: Annotated[
        Target, typer.Option("--target", help="Kubeflow Pipelines, or Vertex AI Pipelines.")
    ] = Target.KUBEFLOW,
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            "-d",
            help="The data set's folder: s3://bucket/folder, or a path on the steps' volume; with "
            "--target vertex gs://bucket/folder or /gcs/bucket/folder [default: as configured, or "
            "given at submit].",
        ),
    ] = "",
    overrides: SetOption = None,
) -> None:
    """Write the pipeline as a file for Kubeflow or for Vertex AI.

    The configuration needs a table [kubeflow], which says where the steps run: see
    kubeflow/README.md. Each of its keys can also be given by --set, such as
    --set kubeflow.pipeline_root=s3://bucket/genreflow.
    """
    from genreflow.cli.kubeflow import compile as cli_kubeflow_compile

    finish(
        cli_kubeflow_compile.compile_pipeline,
        config,
        image=image,
        target=target.value,
        output=output,
        data_dir=data_dir,
        overrides=overrides or [],
    )


for _command in (submit, schedule, runs, watch):
    app.command()(_command)
