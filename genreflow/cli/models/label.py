"""`genreflow models label` and `unlabel`: names of versions that clients can ask for."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from genreflow.cli.exit import EXIT_FAILED, command
from genreflow.cli.help import USE, shown
from genreflow.cli.messages import print_json
from genreflow.cli.models.common import (
    AVAILABLE,
    ApiKeyFileOption,
    CaCertOption,
    DestinationOption,
    ServerOption,
    ServerOptions,
    TlsOption,
    VersionArgument,
    WorkDirOption,
    models_folder,
)
from genreflow.cli.options import JsonOption

NameArgument = Annotated[str, typer.Argument(metavar="LABEL", help="A label, such as canary.")]


@shown(
    USE,
    "genreflow models label 1795662103 canary --work-dir ./genreflow-demo",
)
@command
def label(
    version: VersionArgument,
    name: NameArgument,
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    base_path: Annotated[
        Optional[str],  # noqa: UP045  typer reads the annotation at run time
        typer.Option(
            "--base-path",
            metavar="FOLDER",
            help='The versions\' folder as servers see it, e.g. /models/genreflow; "" for where it '
            "is [default: as set before].",
        ),
    ] = None,
    server: ServerOption = "",
    tls: TlsOption = False,
    ca_cert: CaCertOption = "",
    api_key_file: ApiKeyFileOption = "",
    json_output: JsonOption = False,
) -> int:
    """Give a version a label, which it takes from any other version.

    The labels are written to models.config beside the versions; serve it by genreflow serve
    --model-config-file, or by TensorFlow Serving with --model_config_file. Servers then load the
    newest version and all that have a label.
    """
    from components.storage.uri import join
    from components.versions import labels
    from genreflow.suggested import line_of

    options = ServerOptions(server, tls, ca_cert, api_key_file)
    models = models_folder(work_dir, destination)
    loaded = [number for number, state in options.states().items() if state == AVAILABLE]
    moved = labels.set_label(models, version, name, base_path=base_path, loaded=loaded)
    if not moved and server:
        options.wait_for(version, lambda text: print(text, file=sys.stderr))
        moved = labels.set_label(models, version, name, loaded=[version])
    place = join(models, labels.MODELS_CONFIG)
    if json_output:
        print_json(
            {"moved": moved, "labels": labels.read_labels(models).labels, "models_config": place}
        )
    elif moved:
        print(f"version {version} has the label {name}; written to {place}")
        print(f"servers that read it follow: {line_of('serve', '--model-config-file', place)}")
    else:
        print(
            f"servers that read {place} now load version {version}, because they refuse to move a "
            "label to a version that they have not loaded; run the same command again in a minute, "
            "or with --server to wait for it"
        )
    return 0 if moved else EXIT_FAILED


@shown(USE, "genreflow models unlabel canary --work-dir ./genreflow-demo")
@command
def unlabel(
    name: NameArgument,
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    json_output: JsonOption = False,
) -> int:
    """Remove a label; the version stays."""
    from components.versions import labels

    models = models_folder(work_dir, destination)
    version = labels.remove_label(models, name)
    if json_output:
        print_json({"version": version, "labels": labels.read_labels(models).labels})
    else:
        print(f"version {version} no longer has the label {name}")
    return 0
