"""Tests of the checks of memory, disks, ports, formats and object stores."""

from __future__ import annotations

import os
import pathlib
import socket
from typing import Any

import pytest

from pipeline.prepare.doctor import formats, machine, store
from pipeline.prepare.doctor.installing import install_command
from pipeline.prepare.finding import OK, PROBLEM, UNKNOWN, WARNING


def test_memory_is_that_of_the_container(tmp_path: pathlib.Path) -> None:
    limit = tmp_path / "sys" / "fs" / "cgroup" / "memory.max"
    limit.parent.mkdir(parents=True)
    own = tmp_path / "proc" / "self" / "cgroup"
    own.parent.mkdir(parents=True)
    own.write_text("0::/\n")
    limit.write_text(f"{2 << 30}\n")
    found = machine.check_memory(str(tmp_path))
    assert (found.outcome, found.text.startswith("2.0 GiB; ")) == (WARNING, True)
    limit.write_text(f"{4 << 30}\n")
    assert machine.check_memory(str(tmp_path)).outcome == OK


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_problems(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "not" / "yet" / "there"
    disk, scratch = machine.check_disks(str(work), 1)
    assert (disk.outcome, scratch.name) == (OK, "scratch")
    assert disk.text.endswith(f"free in {tmp_path}")
    disk, _ = machine.check_disks(str(work), 1 << 60)
    assert disk.outcome == PROBLEM
    assert "free some space, or choose another --work-dir" in disk.text
    monkeypatch.setattr(os, "access", lambda *_: False)
    disk, _ = machine.check_disks(str(work), 1)
    assert (disk.outcome, "cannot be written to" in disk.text) == (PROBLEM, True)
    assert not work.parent.exists()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = machine.check_ports([port])
        assert (found.outcome, f"{port}: in use" in found.text) == (WARNING, True)
        assert "--port 0" in found.command
    assert machine.check_ports([port]).outcome == OK


def test_ports_that_a_model_server_of_ours_holds_are_no_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = [one.getsockname()[1], other.getsockname()[1]]
        found = machine.check_ports(ports, lambda port: f"a server at {port}")
        assert (found.outcome, found.text) == (
            OK,
            f"{ports[0]}: a server at {ports[0]}; {ports[1]}: a server at {ports[1]}; a second "
            "server needs other ports",
        )
        assert "--port 0" in found.command
        found = machine.check_ports(ports, lambda port: "a server" if port == ports[0] else "")
        assert found.outcome == WARNING
        assert found.text.startswith(f"{ports[0]}: a server; {ports[1]}: in use; stop what")


def test_every_common_format_is_read_here() -> None:
    found = formats.check_formats(
        {
            name: formats._by_libsndfile(*formats.LIBSNDFILE[name])
            for name in ("mp3", "flac", "opus")
        }
    )
    assert (found[0].outcome, found[0].text) == (OK, "reads mp3, flac, opus")
    assert [one.outcome for one in found[1:]] == [WARNING]  # no format of PyAV was asked for
    assert found[1].command == install_command(["av>=17,<18"])


def test_formats_of_pyav_are_read_where_it_is_installed(pyav: None) -> None:
    found = formats.check_formats(
        {name: formats._by_ffmpeg(*formats.FFMPEG[name]) for name in formats.FFMPEG}
    )
    assert [(one.outcome, one.text) for one in found] == [
        (OK, f"reads {', '.join(formats.FFMPEG)}")
    ]


def test_a_format_that_does_not_decode_is_named_with_the_line_that_mends_it() -> None:
    def words(path: pathlib.Path, samples: Any) -> None:
        path.write_text("no music")

    def silence(path: pathlib.Path, samples: Any) -> None:
        formats._by_libsndfile("WAV", "PCM_16")(path, 0 * samples)

    def broken(path: pathlib.Path, samples: Any) -> None:
        raise RuntimeError("no encoder")

    found = formats.check_formats({"mp3": words, "wav": silence, "m4a": broken})
    assert [(one.outcome, one.text.partition(":")[0]) for one in found] == [
        (PROBLEM, "cannot read mp3"),
        (PROBLEM, "cannot read wav"),
        (WARNING, "cannot read m4a"),
    ]
    assert "no encoder" in found[2].text
    assert found[0].command == install_command(["soundfile"], again=True)


def test_without_a_place_no_store_is_asked() -> None:
    (found,) = store.check_stores(["/data", ""], {})
    assert (found.outcome, "--data-dir s3://BUCKET/FOLDER" in found.text) == (UNKNOWN, True)


def test_an_endpoint_where_nothing_listens_is_a_problem_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (found,) = store.check_stores([], {"AWS_ENDPOINT_URL": f"http://{address}"})
        assert (found.outcome, found.text) == (OK, f"{address} answers")
    monkeypatch.setattr(store, "CONNECT_SECONDS", 0.1)
    (found,) = store.check_stores(["s3://b/x"], {"AWS_ENDPOINT_URL_S3": f"http://{address}"})
    assert found.outcome == PROBLEM
    assert f"nothing answers at {address}" in found.text


def test_a_wrong_endpoint_is_told_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "http://user:secret@host:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", value)
    (found,) = store.check_stores([], {"AWS_ENDPOINT_URL_S3": value})
    assert found.outcome == PROBLEM
    assert "secret" not in found.text
