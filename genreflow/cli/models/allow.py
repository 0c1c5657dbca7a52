"""`genreflow models allow`: runs may push the model of a version that was rolled back from."""

from __future__ import annotations

from components.common.errors import UsageError
from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown
from genreflow.cli.messages import print_json
from genreflow.cli.models.common import (
    DestinationOption,
    VersionArgument,
    WorkDirOption,
    models_folder,
)
from genreflow.cli.options import JsonOption


@shown(USE, "genreflow models allow 1795662103 --work-dir ./genreflow-demo")
@command
def allow(
    version: VersionArgument,
    work_dir: WorkDirOption = "",
    destination: DestinationOption = "",
    json_output: JsonOption = False,
) -> int:
    """Let runs push a model again that was rolled back from.

    What serves does not change. To serve that version again, roll back to it instead.
    """
    from components.versions import rolled_back
    from components.versions.folder import list_versions
    from components.versions.labels import no_version

    models = models_folder(work_dir, destination)
    if not rolled_back.withdraw(models, version):
        known = ", ".join(map(str, rolled_back.read_all(models))) or "none"
        raise UsageError(
            f"{models}: version {version} was not rolled back from; versions that were: {known}"
            if version in list_versions(models)
            else f"{no_version(models, version)}; versions that were rolled back from: {known}"
        )
    if json_output:
        print_json({"version": version, "rolled_back": list(rolled_back.read_all(models))})
    else:
        print(f"runs may push the model of version {version} again")
    return 0
