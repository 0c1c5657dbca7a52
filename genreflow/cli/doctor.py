"""`genreflow doctor`: what is missing on this machine, and the command that mends it."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from genreflow.cli import completion, devices, findings
from genreflow.cli.exit import command
from genreflow.cli.help import DATA, shown
from genreflow.cli.messages import print_json
from genreflow.cli.models.common import AVAILABLE
from genreflow.cli.options import (
    DEFAULT_WORK_DIR,
    DataDirOption,
    JsonOption,
    SetOption,
    WorkDirOption,
)
from pipeline.prepare.finding import OK, PROBLEM, WARNING, Finding
from pipeline.process import cuda

if TYPE_CHECKING:
    from pipeline.config.schema import Config

# Without --config: the configuration that any machine should be able to run.
_SMALLEST = "demo"
_REST_PORT = 8501
# What listens on this machine answers at once, if it is a model server.
_ANSWER_SECONDS = 1.0


@shown(
    DATA,
    "genreflow doctor",
    "genreflow doctor --config mine.toml --data-dir s3://bucket/music",
    "genreflow doctor --json",
)
@command
def doctor(
    config_name: Annotated[
        str,
        typer.Option(
            "--config",
            "-c",
            metavar="NAME|FILE",
            help="Also check what this configuration needs.",
            autocompletion=completion.configurations,
        ),
    ] = "",
    data_dir: DataDirOption = "",
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    overrides: SetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Check this machine: packages, memory, disk, ports, audio formats, object store, devices.

    Names what is missing, with the command that mends it. Changes nothing. Exits with 1 if
    something is missing that a run needs.
    """
    from pipeline.display.console import PlainConsole

    # One console, so that lines appear above the spinner.
    out, found = PlainConsole(stderr=json_output), []
    with out.status("checking"):
        for finding in _check(config_name, data_dir, work_dir, overrides or []):
            found.append(finding)
            if not json_output:
                findings.show(out, finding)
    if json_output:
        print_json(findings.as_json(found))
        return findings.status(found)
    counts = {kind: sum(one.outcome == kind for one in found) for kind in (PROBLEM, WARNING)}
    if counts[PROBLEM]:
        out.say((f"{counts[PROBLEM]} of the checks found a problem", "red"))
    else:
        out.say(("nothing is missing that a run needs", "green"))
    return findings.status(found)


def _check(
    config_name: str, data_dir: str, work_dir: str, overrides: Sequence[str]
) -> Iterator[Finding]:
    """Yield the findings as they are known; the devices are looked at meanwhile."""
    from pipeline.config.load import load_config, with_data_dir
    from pipeline.prepare.doctor import formats, machine, packages, store

    # Mistakes of the command line come before all checks.
    config = with_data_dir(load_config(config_name or _SMALLEST, overrides), data_dir)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        devices_finding = pool.submit(_check_devices)
        yield packages.check_python()
        yield from packages.check_packages()
        yield machine.check_memory()
        yield from machine.check_disks(work_dir, _needed_bytes(config))
        yield machine.check_ports(holder=_model_server)
        yield from formats.check_formats()
        yield from store.check_stores(
            [
                config.dataset.data_dir,
                config.storage.pipeline_root,
                config.storage.push_destination,
                config.storage.clip_store,
            ]
        )
        if config_name:
            yield _check_config(config)
        yield devices_finding.result()


def _needed_bytes(config: Config) -> int:
    """Return the disk space of a run on as little music as the demonstration's."""
    from components.synthesis import TRACKS
    from pipeline.prepare import disk_space

    clips = TRACKS * config.audio.clips_per_track
    return disk_space.run_bytes(clips, config.audio, config.models)


def _model_server(port: int) -> str:
    """Return the words for a server of a model of ours that answers at a port, or ""."""
    from components.common.model_contract import MODEL_NAME
    from serving.client.address import parse_address
    from serving.client.connection import Connection
    from serving.client.errors import CallFailed, ClientError
    from serving.client.transport import ModelSpec

    address = parse_address(f"127.0.0.1:{port}", rest=port == _REST_PORT)
    # No key, as it is not known who listens.
    connection = Connection(
        address, ModelSpec(MODEL_NAME), tls=None, api_key=None, timeout_s=_ANSWER_SECONDS
    )
    try:
        # Of the transport, as the connection would look for the reason of a failure.
        states = connection.transport.states(MODEL_NAME, _ANSWER_SECONDS)
    except (CallFailed, ClientError):
        return ""
    finally:
        connection.close()
    versions = [number for number, state in states if state == AVAILABLE]
    served = f"version {max(versions)}" if versions else "no version yet"
    return f"a model server serves {MODEL_NAME} there, {served}"


def _check_config(config: Config) -> Finding:
    """Check the weights, the server and Beam's runner that a configuration names."""
    from components.common.errors import GenreflowError
    from pipeline.prepare import preflight, runner_checks

    problems = []
    checks: list[Callable[[], None]] = [
        functools.partial(preflight.check_weights, config),
        functools.partial(preflight.check_engine, config),
        functools.partial(runner_checks.check_runner, config.beam),
    ]
    for check in checks:
        try:
            check()
        except GenreflowError as error:
            problems += str(error).splitlines()
    if problems:
        return Finding("config", PROBLEM, "; ".join(problems))
    return Finding("config", OK, f"networks: {', '.join(config.models)}")


def _check_devices() -> Finding:
    """Check that TensorFlow can be loaded, and that it sees the GPUs that the driver lists.

    Only GPUs are worth the seconds that starting it takes.
    """
    listed, more = cuda.cards(), "genreflow devices"
    facts: devices.Facts = {}
    if listed:
        facts, trouble = devices.probe()
    else:
        trouble = devices.load_trouble()
    if trouble:
        return Finding("devices", PROBLEM, f"TensorFlow cannot be started: {trouble}", more)
    found = facts.get("tensorflow", {"gpus": []})
    if found["gpus"]:
        names = ", ".join(gpu["name"] for gpu in found["gpus"])
        return Finding("devices", OK, f"training uses {names}, {found['precision']}")
    cpu = devices.processor()
    text = f"training uses the CPU, {cpu.usable_cores} cores of {cpu.model}"
    if listed:
        unused = f"TensorFlow sees none of the {len(listed)} GPUs that the driver lists"
        return Finding("devices", WARNING, f"{text}: {unused}", more)
    return Finding("devices", OK, f"{text}; the driver lists no GPU")
