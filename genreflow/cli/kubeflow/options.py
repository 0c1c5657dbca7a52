"""Options that several commands of `genreflow kubeflow` take."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A file written by genreflow kubeflow compile.")
]
HostOption = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="URL",
        help="Address of Kubeflow Pipelines, such as https://kubeflow.example.org/pipeline "
        "[default: KF_PIPELINES_ENDPOINT].",
    ),
]
NamespaceOption = Annotated[
    str,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace of your profile, if Kubeflow has many users "
        "[default: KF_PIPELINES_NAMESPACE].",
    ),
]
CaCertOption = Annotated[
    str,
    typer.Option(
        "--ca-cert",
        metavar="FILE",
        help="Certificate (PEM) of the authority that signed the host's certificate.",
    ),
]
ParamOption = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads the annotation at run time
    typer.Option(
        "--param",
        "-p",
        metavar="KEY=VALUE",
        help="A parameter of the run, repeatable: data_dir, pipeline_root and push_destination "
        "(folders: s3://..., or on the steps' volume), or overrides (JSON of settings, e.g. "
        """'overrides={"training.epochs": 3}') [default: as compiled].""",
    ),
]
ExperimentOption = Annotated[
    str, typer.Option("--experiment", metavar="NAME", help="Created if it does not exist.")
]
ServiceAccountOption = Annotated[
    str,
    typer.Option(
        "--service-account",
        metavar="NAME",
        help="Account that the steps run as, e.g. genreflow-runner [default: Kubeflow's].",
    ),
]
IntervalOption = Annotated[
    float,
    typer.Option(
        "--interval",
        metavar="SECONDS",
        min=0.2,
        max=3600.0,
        help="Seconds between two requests.",
    ),
]
