"""Checks of Beam's runner before a run: its address, its flags, and what its workers see."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping

from components.common.endpoints import unreachable
from components.common.errors import UsageError
from components.storage.uri import is_remote
from pipeline.config.beam import BeamSettings, pipeline_args
from pipeline.config.beam_runners import DataflowSettings, PortableSettings, is_endpoint

CONNECT_SECONDS = 5.0

_SCHEME = re.compile(r"[a-z]+://")
_SHARED = "a folder that they see under the same path and that beam.shared_folders names"
_UBER_JARS = ("--flink_submit_uber_jar", "--spark_submit_uber_jar")


def check_runner(settings: BeamSettings) -> None:
    """Check what can be known of a runner before a job is submitted.

    Raises:
      UsageError: nothing listens at an address, a program is missing, or Beam does not know a flag.
    """
    table = settings.runner_table
    if table is None and not settings.options:
        return
    further: frozenset[str] = frozenset()
    if isinstance(table, PortableSettings):
        _check_addresses(settings.runner, table)
        if table.endpoint:
            from pipeline.prepare.beam_flags import described_flags

            try:
                further = described_flags(table.endpoint)
            except UsageError as error:
                raise UsageError(f"beam.{settings.runner}.endpoint: {error}") from error
        else:
            _check_job_server(settings, table)
    from pipeline.prepare.beam_flags import FlagError, check_flags

    try:
        check_flags(pipeline_args(settings, tracks=0), further)
    except FlagError as error:
        raise UsageError(f"beam.options, or a setting of [beam]: {error}") from error
    if isinstance(table, DataflowSettings):
        _check_google_credentials()


def check_places(
    settings: BeamSettings, *, artifacts: str, copies: str, audio: Iterable[str]
) -> None:
    """Check that workers see the files that the stages on the runner read and write.

    Args:
      settings: the [beam] table.
      artifacts: folder or URI of the artifacts.
      copies: folder of local copies of artifacts in an object store.
      audio: the audio files.

    Raises:
      UsageError: one line for each place that they do not see.
    """
    if _workers_are_here(settings):
        return
    problems = list(_unseen(settings, artifacts, copies, audio))
    if problems:
        raise UsageError("\n".join(problems))


def check_seen(settings: BeamSettings, places: Mapping[str, str]) -> None:
    """Check that workers see places that options name.

    Args:
      settings: the [beam] table.
      places: paths and URIs by the options that name them.

    Raises:
      UsageError: one line for each place that they do not see.
    """
    if _workers_are_here(settings):
        return
    problems = [
        f"{option} {place}: {_unseen_by(settings)}; choose a place in s3://, or {_SHARED}"
        for option, place in places.items()
        if not _sees(settings, place)
    ]
    if problems:
        raise UsageError("\n".join(problems))


def _unseen_by(settings: BeamSettings) -> str:
    return f'beam.runner = "{settings.runner}" has workers that do not see this machine\'s folders'


def _unseen(
    settings: BeamSettings, artifacts: str, copies: str, audio: Iterable[str]
) -> Iterator[str]:
    where, shared = _unseen_by(settings), _SHARED
    if not _sees(settings, artifacts):
        yield (
            f"{artifacts}: {where}; set storage.pipeline_root to s3://BUCKET/FOLDER, or to {shared}"
        )
    if "audio" in settings.stages:
        hidden = next((path for path in audio if not _sees(settings, path)), None)
        if hidden is not None:
            yield f"{hidden}: {where}; put the audio into s3://, or into {shared}"
    for stage in settings.stages:
        if stage != "audio" and is_remote(artifacts) and not _sees(settings, copies):
            yield (
                f'{copies}: {where}, and beam.stages names "{stage}", which works on local copies '
                f"of artifacts in s3:// there; leave it out of beam.stages, or put --work-dir into "
                f"{shared}"
            )


def _sees(settings: BeamSettings, place: str) -> bool:
    """Return whether workers on other machines see a place."""
    if is_remote(place):
        return True
    path = os.path.abspath(place)
    folders = map(os.path.normpath, settings.shared_folders)
    return any(os.path.commonpath((path, folder)) == folder for folder in folders)


def _workers_are_here(settings: BeamSettings) -> bool:
    """Return whether workers see this machine's folders."""
    table = settings.runner_table
    if isinstance(table, PortableSettings):
        return table.environment in ("loopback", "process") and _all_here(table)
    return table is None


def _check_addresses(runner: str, table: PortableSettings) -> None:
    key = f"beam.{runner}.{'endpoint' if table.endpoint else 'master'}"
    _check_listening(_addresses(table.service), key, table.service)
    if table.environment == "loopback" and not _all_here(table):
        raise UsageError(
            f'{key} = "{table.service}": environment = "loopback" runs the workers in this '
            "process, which a runner on another machine cannot reach; set "
            f'beam.{runner}.environment to "external" or "docker"'
        )
    # Flink and Spark look for a pool on their own machines.
    if runner == "portable" and table.environment == "external" and _all_here(table):
        address = table.worker_address
        hint = "start the workers first: genreflow beam-worker"
        _check_listening(_addresses(address), f"beam.{runner}.worker_address", address, hint)


def _check_listening(addresses: list[str], key: str, shown: str, hint: str = "") -> None:
    """Raise UsageError if there are addresses, and nothing listens at any."""
    reasons = []
    for address in addresses:
        reasons.append(unreachable(address, CONNECT_SECONDS))
        if not reasons[-1]:
            return
    if reasons:
        advice = hint or "start the job service first, or correct the address"
        raise UsageError(f'{key} = "{shown}": nothing listens there ({reasons[0]}); {advice}')


def _addresses(service: str) -> list[str]:
    """Return HOST:PORT of a service or of a cluster's machines; nothing for a local cluster."""
    parts = _SCHEME.sub("", service).rstrip("/").split(",")
    return [part for part in parts if is_endpoint(part)]


def _all_here(table: PortableSettings) -> bool:
    """Return whether the job service, or the cluster, is on this machine."""
    hosts = (address.rpartition(":")[0].strip("[]") for address in _addresses(table.service))
    return all(map(_is_here, hosts))


def _is_here(host: str) -> bool:
    """Return whether a host is this machine, which alone can bind its addresses."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as bound:
            try:
                bound.bind(address)
            except OSError:
                continue
            return True
    return False


def _check_job_server(settings: BeamSettings, table: PortableSettings) -> None:
    """Check what Beam needs to start a job server of its own."""
    jar = getattr(table, "job_server_jar", "")
    if jar and not _SCHEME.match(jar) and not os.path.isfile(jar):
        raise UsageError(f'beam.{settings.runner}.job_server_jar = "{jar}": no such file')
    if not any(option in _UBER_JARS for option in settings.options) and not shutil.which("java"):
        raise UsageError(
            f"beam.{settings.runner}.master: Beam starts a job server, and there is no `java` on "
            f"the PATH; install a JRE, or set beam.{settings.runner}.endpoint to a job server that "
            "runs elsewhere"
        )


def _check_google_credentials() -> None:
    from pipeline.process.libraries import quick_imports

    with quick_imports():
        import google.auth
        import google.auth.exceptions
    try:
        google.auth.default()
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise UsageError(
            'beam.runner = "dataflow": no credentials of Google Cloud; run `gcloud auth '
            "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
