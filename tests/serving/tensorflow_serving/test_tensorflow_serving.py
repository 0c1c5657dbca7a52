"""Tests of TensorFlow Serving's binary as an engine: its arguments, start and shutdown.

There is no real binary here. A stand-in on the PATH records its arguments, and implements
GetModelStatus with the public stubs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf import text_format

from serving.model.model_files import ModelFolderError
from serving.protocol.protos import model_server_config_pb2, saved_model_pb2
from serving.server.config.options import OptionError, ServeOptions
from serving.server.config.security import ServerTls
from serving.server.config.settings import Batching, ModelConfig, VersionPolicy
from serving.tensorflow_serving import engine as tensorflow_serving
from serving.tensorflow_serving.command import check_models, command, config_files, folders_to_load
from serving.tensorflow_serving.engine import EngineError
from tests.support import ROOT

# A busy machine may be ten times as slow; no test passes because of this.
DEADLINE_S = 120.0

STAND_IN = f"""#!{sys.executable}
import concurrent.futures, json, os, pathlib, signal, socket, sys, time

flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
here = pathlib.Path(os.environ["STAND_IN"])
mode = (here / "mode").read_text()
files = {{name: pathlib.Path(value).read_text() for name, value in flags.items()
         if name.endswith("_file")}}
told = {{"flags": flags, "files": files, "pid": os.getpid(), "parent": os.getppid(),
        "folder_mode": os.stat(pathlib.Path(flags["model_config_file"]).parent).st_mode & 0o777}}
(here / "told.part").write_text(json.dumps(told))
(here / "told.part").rename(here / "told")
if mode == "exit":
    print("Failed to start server. Error: a reason of its own", flush=True)
    sys.exit(255)
if mode == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if mode in ("stubborn", "hang"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "hang":
    time.sleep({DEADLINE_S})
    sys.exit(9)

import grpc
sys.path.insert(0, {str(ROOT)!r})
from serving.protocol.protos import get_model_status_pb2 as proto, model_service_pb2_grpc

STATES = proto.ModelVersionStatus
asked = [0]

class Models(model_service_pb2_grpc.ModelServiceServicer):
    def GetModelStatus(self, request, context):
        asked[0] += 1
        answer = proto.GetModelStatusResponse()
        status = answer.model_version_status.add(version=7, state=STATES.LOADING)
        if mode == "fail":
            status.state = STATES.END
            status.status.error_code = 3
            status.status.error_message = "Op type not registered"
        elif asked[0] > 2:
            status.state = STATES.AVAILABLE
        (here / f"asked-{{request.model_spec.name}}").write_text(str(asked[0]))
        return answer

server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
assert server.add_insecure_port("127.0.0.1:" + flags["port"])
server.start()
if flags["rest_api_port"] != "0" and mode != "no-rest":
    time.sleep(0.3)
    rest = socket.create_server(("127.0.0.1", int(flags["rest_api_port"])))
if mode == "later":
    while not (here / "go").exists():
        time.sleep(0.02)
    sys.exit(4)
server.wait_for_termination()
"""

PROGRAM = """
import json, sys
from serving.server.config.options import ServeOptions
from serving.tensorflow_serving import engine
sys.exit(engine.serve(ServeOptions(**json.loads(sys.argv[1]))))
"""


@dataclasses.dataclass
class StandIn:
    """Stand-in for the binary.

    Attributes:
      folder: where it is, with its mode and its records.
    """

    folder: pathlib.Path

    def behave(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def processes(self) -> list[int]:
        """Return the ids of the processes that run it."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has just ended, or is another user's
                if str(self.folder).encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
        return found

    def hear(self, line: str) -> None:
        """Let it continue once the line says that it has started."""
        if line.startswith("TensorFlow Serving ("):
            (self.folder / "go").touch()

    @property
    def told(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "told").read_text())
        return content


@pytest.fixture
def stand_in(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folder = tmp_path / "bin"
    folder.mkdir()
    binary = folder / "tensorflow_model_server"
    binary.write_text(STAND_IN)
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(folder))
    monkeypatch.delenv("GENREFLOW_API_KEY", raising=False)
    stand_in = StandIn(folder)
    stand_in.behave("serve")
    return stand_in


@pytest.fixture
def models(toy_models: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a folder of versions that a test may change."""
    return pathlib.Path(shutil.copytree(toy_models, tmp_path / "genreflow"))


@pytest.fixture
def started(
    stand_in: StandIn, toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> Iterator[Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]]:
    """Return a function that starts `serve` in a process, and returns that and its ready file."""
    processes = []

    def start(**options: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        ready = tmp_path / "ready.json"
        given = {
            "model_dir": str(toy_models),
            "port": 0,
            "rest_port": 0,
            "ready_file": str(ready),
            **options,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(given)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        wait_for(lambda: ready.exists() or process.poll() is not None)
        assert ready.exists(), process.communicate()
        return process, json.loads(ready.read_text())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def serve(
    model_dir: pathlib.Path,
    start_seconds: float = DEADLINE_S,
    say: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> int:
    given = {"model_dir": str(model_dir), "port": 0, "rest_port": 0, **options}
    return tensorflow_serving.serve(ServeOptions(**given), say=say, start_seconds=start_seconds)


# Arguments and files


def test_it_is_told_ports_and_files(tmp_path: pathlib.Path) -> None:
    words = command("/x/server", tmp_path, port=8500, rest_port=8501, poll_seconds=0.25)
    assert words[0] == "/x/server"
    flags = dict(word.removeprefix("--").split("=", 1) for word in words[1:])
    assert flags == {
        "port": "8500",
        "rest_api_port": "8501",
        "model_config_file": f"{tmp_path}/models.config",
        "monitoring_config_file": f"{tmp_path}/monitoring.config",
        "file_system_poll_wait_seconds": "1",  # whole seconds; 0 would poll only once
        "allow_version_labels_for_unavailable_models": "true",
        "max_num_load_retries": "30",
        "load_retry_interval_micros": "10000000",
    }


def test_batching_and_tls_add_their_files(tmp_path: pathlib.Path) -> None:
    plain = command("x", tmp_path, port=1, rest_port=0, poll_seconds=2.1)
    both = command("x", tmp_path, port=1, rest_port=0, poll_seconds=2.1, batching=True, tls=True)
    assert both[: len(plain)] == plain
    assert "--file_system_poll_wait_seconds=3" in plain
    assert both[len(plain) :] == [
        "--enable_batching=true",
        f"--batching_parameters_file={tmp_path}/batching.config",
        f"--ssl_config_file={tmp_path}/ssl.config",
    ]


def test_the_models_are_listed_as_its_own_proto_has_them() -> None:
    models = [
        ModelConfig("a", pathlib.Path("/m/a"), VersionPolicy("latest", count=2), {"stable": 3}),
        ModelConfig('b"\n}', pathlib.Path("/m/b é"), VersionPolicy("all")),
        ModelConfig("c", pathlib.Path("c"), VersionPolicy("specific", versions=(4, 5))),
    ]
    files = config_files(models, None, None)
    assert sorted(files) == ["models.config", "monitoring.config"]
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(files["models.config"], config)
    a, b, c = config.model_config_list.config
    assert (a.name, a.base_path, a.model_platform) == ("a", "/m/a", "tensorflow")
    assert a.model_version_policy.latest.num_versions == 2
    assert dict(a.version_labels) == {"stable": 3}
    assert (b.name, b.base_path) == ('b"\n}', "/m/b é")
    assert b.model_version_policy.WhichOneof("policy_choice") == "all"
    assert c.base_path == str(pathlib.Path.cwd() / "c")
    assert list(c.model_version_policy.specific.versions) == [4, 5]


def test_batching_is_written_in_its_units() -> None:
    batching = Batching(max_batch_size=8, batch_timeout_s=0.0015, max_enqueued_batches=5)
    text = config_files([], batching, None)["batching.config"]
    assert "max_execution_batch_size { value: 8 }" in text
    assert "batch_timeout_micros { value: 1500 }" in text
    assert "max_enqueued_batches { value: 5 }" in text


@pytest.mark.parametrize("client_ca", [None, b"-----CA-----\n"])
def test_certificates_go_in_as_text(client_ca: bytes | None) -> None:
    tls = ServerTls("c", "k", b'-----CERT "x"\n', b"-----KEY\\\n", client_ca=client_ca)
    text = config_files([], None, tls)["ssl.config"]
    lines = dict(line.split(": ", 1) for line in text.splitlines())
    assert json.loads(lines["server_cert"]) == '-----CERT "x"\n'  # the same escapes as JSON's
    assert json.loads(lines["server_key"]) == "-----KEY\\\n"
    assert lines["client_verify"] == ("false" if client_ca is None else "true")
    assert ("custom_ca" in lines) == (client_ca is not None)


# Models


def test_versions_are_chosen_as_it_chooses_them(tmp_path: pathlib.Path) -> None:
    for name in ("1", "2", "10", "09", "x", "3.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file")

    def chosen(policy: VersionPolicy) -> list[str]:
        return [folder.name for folder in folders_to_load(ModelConfig("m", tmp_path, policy))]

    assert chosen(VersionPolicy()) == ["10"]
    assert chosen(VersionPolicy("latest", count=2)) == ["09", "10"]
    assert chosen(VersionPolicy("all")) == ["1", "2", "09", "10"]
    assert chosen(VersionPolicy("specific", versions=(2, 99))) == ["2"]
    with pytest.raises(ModelFolderError, match="no version folder"):
        chosen(VersionPolicy("specific", versions=(99,)))
    with pytest.raises(ModelFolderError, match="no such folder"):
        folders_to_load(ModelConfig("m", tmp_path / "nothing"))


def test_a_version_that_may_not_be_loaded_is_refused_before_it_starts(
    stand_in: StandIn, models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = models / "2" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name="leak", op="ReadFile")
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(ModelFolderError, match="operation 'ReadFile'"):
        serve(models)
    assert not (stand_in.folder / "told").exists()
    check_models([ModelConfig("m", models, VersionPolicy("specific", versions=(1,)))])


def test_a_half_copied_version_is_named_instead_of_waited_for(
    stand_in: StandIn, models: pathlib.Path
) -> None:
    """Refuse an incomplete highest version, which TensorFlow Serving would retry."""
    (models / "3" / "variables").mkdir(parents=True)
    with pytest.raises(ModelFolderError, match=r"3: incomplete model: saved_model\.pb is missing"):
        serve(models)


def test_a_version_that_lies_elsewhere_is_refused(
    models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (models / "2").rename(tmp_path / "elsewhere")
    (models / "2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFolderError, match="a link that leads out"):
        check_models([ModelConfig("m", models)])


# Start and shutdown


def test_it_serves_and_says_so_and_stops_when_told(
    started: Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]],
    stand_in: StandIn,
    toy_models: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    process, ready = started(batching=True, poll_seconds=3)
    told = stand_in.told
    assert ready == {
        "engine": "tensorflow-serving",
        "host": "127.0.0.1",
        "port": int(told["flags"]["port"]),
        "rest_port": int(told["flags"]["rest_api_port"]),
        "pid": told["pid"],
    }
    assert len({0, ready["port"], ready["rest_port"]}) == 3
    assert told["parent"] == process.pid
    assert told["flags"]["file_system_poll_wait_seconds"] == "3"
    assert f'base_path: "{toy_models}"' in told["files"]["model_config_file"]
    assert "max_batch_size" in told["files"]["batching_parameters_file"]
    assert int((stand_in.folder / "asked-genreflow").read_text()) == 3  # LOADING is not enough
    # The files are removed by then, as one may hold a key.
    wait_for(lambda: not pathlib.Path(told["flags"]["model_config_file"]).parent.exists())
    assert told["folder_mode"] == 0o700
    with socket.create_connection(("127.0.0.1", ready["rest_port"]), timeout=DEADLINE_S):
        pass  # REST is there, too
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, output) == (0, "")
    assert "Traceback" not in errors
    assert "cannot listen on 127.0.0.1 only" in errors
    assert not is_running(told["pid"])
    assert not (tmp_path / "ready.json").exists()


def test_ctrl_c_stops_it_too(
    started: Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]], stand_in: StandIn
) -> None:
    process, ready = started(host="0.0.0.0", rest_port=-1)
    assert ready["host"] == "127.0.0.1"
    assert ready["rest_port"] == 0
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert "note:" not in errors
    assert not is_running(stand_in.told["pid"])


def test_it_is_killed_where_it_does_not_stop_in_time(
    started: Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]], stand_in: StandIn
) -> None:
    stand_in.behave("stubborn")
    process, ready = started(grace_seconds=0.3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert not is_running(ready["pid"])


def test_it_does_not_outlive_whoever_started_it(
    started: Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]],
) -> None:
    process, ready = started()
    process.kill()
    wait_for(lambda: not is_running(ready["pid"]))


def test_its_own_end_is_handed_on(stand_in: StandIn, toy_models: pathlib.Path) -> None:
    stand_in.behave("later")
    before = signal.getsignal(signal.SIGTERM)
    assert serve(toy_models, say=stand_in.hear) == 4
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("exit", "ended with status 255 before it served genreflow"),
        ("crash", "ended by SIGSEGV before it served genreflow"),
        ("fail", "cannot load version 7 of genreflow: Op type not registered"),
    ],
)
def test_a_start_that_fails_says_how(
    stand_in: StandIn,
    toy_models: pathlib.Path,
    tmp_path: pathlib.Path,
    mode: str,
    message: str,
) -> None:
    stand_in.behave(mode)
    with pytest.raises(EngineError, match=message):
        serve(toy_models, ready_file=str(tmp_path / "ready"))
    assert not (tmp_path / "ready").exists()
    assert not is_running(stand_in.told["pid"])


def test_a_start_that_hangs_is_given_up(stand_in: StandIn, toy_models: pathlib.Path) -> None:
    stand_in.behave("hang")
    with pytest.raises(EngineError, match=r"did not serve genreflow within 1\.5 seconds"):
        serve(toy_models, start_seconds=1.5, grace_seconds=0.2)
    assert stand_in.processes() == []


def test_a_start_without_the_rest_that_was_asked_for_is_given_up(
    stand_in: StandIn, toy_models: pathlib.Path
) -> None:
    """Give up if REST does not start, which TensorFlow Serving itself only logs."""
    stand_in.behave("no-rest")
    with pytest.raises(EngineError, match=r"did not serve (REST|genreflow) within 4 seconds"):
        serve(toy_models, start_seconds=4)
    assert stand_in.processes() == []


def test_several_models_come_from_a_file_and_all_have_to_be_served(
    started: Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]],
    stand_in: StandIn,
    toy_models: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    listed = "".join(
        f'config {{ name: "{name}" base_path: "{toy_models}" model_platform: "tensorflow" '
        'model_version_policy { all {} } version_labels { key: "old" value: 1 } }\n'
        for name in ("first", "second")
    )
    (tmp_path / "list").write_text(f"model_config_list {{ {listed} }}")
    started(model_dir="", model_config_file=str(tmp_path / "list"))
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(stand_in.told["files"]["model_config_file"], config)
    assert [dict(m.version_labels) for m in config.model_config_list.config] == [{"old": 1}] * 2
    assert {path.name for path in stand_in.folder.glob("asked-*")} == {
        "asked-first", "asked-second",
    }  # fmt: skip


# Unsupported options


def test_without_the_binary_it_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, toy_models: pathlib.Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="no tensorflow_model_server on the PATH") as caught:
        serve(toy_models, engine="tensorflow-serving")
    assert "docker-compose.yml" in str(caught.value)
    options = ServeOptions(model_dir="x", engine="auto")
    assert not tensorflow_serving.is_chosen(options)
    assert tensorflow_serving.is_chosen(dataclasses.replace(options, engine="tensorflow-serving"))


def test_auto_takes_it_where_it_is_and_able_to(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = ServeOptions(model_dir="x", engine="auto")
    assert tensorflow_serving.is_chosen(auto)
    assert not tensorflow_serving.is_chosen(dataclasses.replace(auto, engine="genreflow"))
    assert not tensorflow_serving.is_chosen(dataclasses.replace(auto, api_key_file="key"))
    assert not tensorflow_serving.is_chosen(auto, {"GENREFLOW_API_KEY": "a secret of mine"})


def test_a_server_without_the_key_that_was_asked_for_does_not_start(
    stand_in: StandIn, toy_models: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match="no API key"):
        serve(toy_models, api_key_file="key")
    monkeypatch.setenv("GENREFLOW_API_KEY", "a secret of mine")
    with pytest.raises(EngineError, match="no API key") as caught:
        serve(toy_models)
    assert "secret" not in str(caught.value)
    assert not (stand_in.folder / "told").exists()


def test_a_ready_file_that_cannot_be_written_ends_it(
    stand_in: StandIn, toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "ready").mkdir()
    with pytest.raises(OptionError, match=r"--ready-file .*/ready: Is a directory"):
        serve(toy_models, ready_file=str(tmp_path / "ready"))
    assert not is_running(stand_in.told["pid"])


def test_a_ready_file_in_no_folder_is_refused_before_anything_starts(
    stand_in: StandIn, toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(OptionError, match=r"--ready-file .*: there is no folder .*/nowhere"):
        serve(toy_models, ready_file=str(tmp_path / "nowhere" / "ready"))
    assert not (stand_in.folder / "told").exists()


def test_a_port_that_is_taken_is_refused(stand_in: StandIn, toy_models: pathlib.Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"--port {port}: .*in use"):
            serve(toy_models, port=port)
        with pytest.raises(EngineError, match=f"--rest-port {port}: .*in use"):
            serve(toy_models, rest_port=port)


def test_options_without_a_counterpart_are_named(
    stand_in: StandIn, toy_models: pathlib.Path
) -> None:
    stand_in.behave("later")
    said: list[str] = []
    options = ServeOptions(
        model_dir=str(toy_models), host="0.0.0.0", port=0, rest_port=0, max_concurrent=3
    )

    def say(line: str) -> None:
        said.append(line)
        stand_in.hear(line)

    tensorflow_serving.serve(options, say=say)
    assert said[0] == "note: TensorFlow Serving ignores --max-concurrent"
    assert len(said) == 2


def test_errors_are_those_of_options() -> None:
    assert issubclass(EngineError, OptionError)
