"""scripts/setup_env.sh gets uv: an earlier one, the PATH's, by pip or venv, or by itself."""

from __future__ import annotations

import hashlib
import http.server
import io
import pathlib
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator

import pytest

from tests.support.setup_machine import SetupMachine

WHEEL = "uv-9.9.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


class PackageIndex:
    """A package index with one page, uv's, and one wheel.

    Attributes:
        files: What is served, by its path.
        asked: The paths that were asked for.
        address: Where the index is.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                content = index.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.address = f"http://{self.host}/root/simple"

    def publish(self, wheel: bytes, link: str = "../../packages/1f/{}") -> None:
        """Serve a wheel; its page links to others as well."""
        others = ["uv-9.9.9-py3-none-macosx_11_0_arm64.whl", f"{WHEEL}.metadata"]
        links = [link.format(name) for name in [others[0], WHEEL]]
        page = "".join(f'<a href="{found}#sha256=0" >text</a><br />' for found in links)
        self.files = {
            "/root/simple/uv/": f"<!DOCTYPE html><html>{page}</html>".encode(),
            f"/root/packages/1f/{WHEEL}": wheel,
        }


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    index = PackageIndex()
    thread = threading.Thread(target=index.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield index
    index.server.shutdown()
    index.server.server_close()
    thread.join()


@pytest.fixture
def machine(tmp_path: pathlib.Path, requires_program: Callable[[str, str], str]) -> SetupMachine:
    """Return a machine with Python 3.13, but neither pip nor uv."""
    requires_program("flock", "util-linux")
    machine = SetupMachine(tmp_path)
    machine.python("3.13", "python3.13")
    return machine


def wheel_of_uv(machine: SetupMachine) -> bytes:
    """Return uv's wheel, whose hash becomes the one in requirements/uv.txt."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("uv/__init__.py", "")
        file.writestr("uv-9.9.9.data/scripts/uv", machine.uv_script())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    text = f"uv==9.9.9 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n"
    (machine.checkout / "requirements/uv.txt").write_text(text)
    return content.getvalue()


def kept_uv(machine: SetupMachine) -> bool:
    return (machine.checkout / ".tools/uv/bin/uv").is_file()


@pytest.mark.parametrize(
    "link",
    [
        "../../packages/1f/{}",
        "/root/packages/1f/{}",
        "//HOST/root/packages/1f/{}",
        "http://HOST/root/packages/1f/{}",
    ],
)
def test_a_python_without_pip_and_venv_fetches_uv(
    link: str, machine: SetupMachine, index: PackageIndex
) -> None:
    machine.real_python()
    index.publish(wheel_of_uv(machine), link.replace("HOST", index.host))
    done = machine.setup(PIP_INDEX_URL=index.address)
    assert done.returncode == 0, done.stderr
    assert machine.stamp() == ["1.21", "3.13"]
    assert machine.uv_calls()[0].startswith("venv ")
    assert index.asked == ["/root/simple/uv/", f"/root/packages/1f/{WHEEL}"]
    assert [path.name for path in (machine.checkout / ".tools").iterdir()] == ["uv"]
    assert [path.name for path in (machine.checkout / ".tools/uv").rglob("*")] == ["bin", "uv"]

    # Without .venv it is not fetched again.
    shutil.rmtree(machine.checkout / ".venv")
    assert machine.setup(PIP_INDEX_URL=index.address).returncode == 0
    assert len(index.asked) == 2


@pytest.mark.parametrize("downloader", ["curl", "wget"])
@pytest.mark.parametrize("unpacker", ["perl", "unzip"])
def test_without_any_python_other_programs_fetch_uv(
    downloader: str,
    unpacker: str,
    machine: SetupMachine,
    index: PackageIndex,
    requires_program: Callable[[str, str], str],
) -> None:
    for name in (downloader, unpacker):
        (machine.bin / name).symlink_to(requires_program(name, name))
    index.publish(wheel_of_uv(machine))
    done = machine.setup(UV_DEFAULT_INDEX=index.address + "/")
    assert done.returncode == 0, done.stderr
    assert kept_uv(machine)


def test_a_wheel_with_another_hash_is_refused(machine: SetupMachine, index: PackageIndex) -> None:
    machine.real_python()
    index.publish(wheel_of_uv(machine) + b"\n")
    done = machine.setup(PIP_INDEX_URL=index.address)
    assert done.returncode == 1
    assert "Setting up .venv failed while getting uv." in done.stderr
    assert "  The wheel of uv from the index has none of the hashes in requirements/uv.txt.\n" in (
        done.stderr
    )
    assert not kept_uv(machine)
    assert machine.uv_calls() == []


def test_an_index_without_the_version_is_told(machine: SetupMachine, index: PackageIndex) -> None:
    machine.real_python()
    index.publish(wheel_of_uv(machine))
    index.files["/root/simple/uv/"] = b'<a href="uv-1.0.0-py3-none-manylinux_x86_64.whl">text</a>'
    done = machine.setup(PIP_INDEX_URL=index.address)
    assert done.returncode == 1
    assert "  The index has no wheel of uv 9.9.9 for x86_64.\n" in done.stderr


def test_a_password_of_the_index_is_not_shown(
    machine: SetupMachine, requires_program: Callable[[str, str], str]
) -> None:
    curl = requires_program("curl", "curl")
    (machine.bin / "curl").symlink_to(curl)
    done = machine.setup(PIP_INDEX_URL="http://me:hunter2@127.0.0.1:9/simple")
    assert done.returncode == 1
    assert "fetching uv 9.9.9 from http://***@127.0.0.1:9/simple\n" in done.stderr
    log = (machine.checkout / ".venv-setup.log").read_text()
    assert "hunter2" not in done.stdout + done.stderr + log


@pytest.mark.parametrize(
    ("variables", "configuration", "index_of_uv", "certificates_of_uv"),
    [
        ({}, "", "https://pypi.org/simple", ""),
        (
            {},
            "[global]\nindex-url = https://a/simple\ncert: /a.pem\n",
            "https://a/simple",
            "/a.pem",
        ),
        (
            {"PIP_INDEX_URL": "https://b/simple", "PIP_CERT": "/b.pem"},
            "[global]\nindex-url = https://a/simple\n",
            "https://b/simple",
            "/b.pem",
        ),
        (
            {"UV_DEFAULT_INDEX": "https://c/simple", "PIP_INDEX_URL": "https://b/simple"},
            "",
            "https://c/simple",
            "",
        ),
    ],
)
def test_settings_of_pip_hold_for_uv(
    variables: dict[str, str],
    configuration: str,
    index_of_uv: str,
    certificates_of_uv: str,
    machine: SetupMachine,
) -> None:
    file = machine.folder / ".config/pip/pip.conf"
    file.parent.mkdir(parents=True)
    file.write_text(configuration)
    # In place of /etc/pip.conf, which this machine may have.
    empty = machine.folder / "empty"
    empty.write_text("[global]\nindex-url = https://pypi.org/simple\n" if not configuration else "")
    machine.uv()
    chosen = {"PIP_CONFIG_FILE": str(file if configuration else empty), **variables}
    assert machine.setup(**chosen).returncode == 0
    found = machine.uv_settings()
    assert found[0] == index_of_uv
    if certificates_of_uv:
        assert found[1] == certificates_of_uv


def test_uv_keeps_settings_of_its_own(machine: SetupMachine) -> None:
    file = machine.folder / ".config/uv/uv.toml"
    file.parent.mkdir(parents=True)
    file.touch()
    machine.uv()
    assert machine.setup(PIP_INDEX_URL="https://b/simple").returncode == 0
    assert machine.uv_settings()[0] == ""


@pytest.mark.parametrize("broken", [True, False])
def test_pip_gets_uv_where_the_path_has_none_that_works(
    broken: bool, machine: SetupMachine
) -> None:
    """A uv that is a pyenv shim of another Python exits with status 127."""
    text = machine.folder / "uv-of-the-wheel"
    text.write_text(machine.uv_script())
    text.chmod(0o755)
    machine.python("3.14", pip=f'mkdir -p "$last/bin"; cp {text} "$last/bin/uv"')
    if broken:
        machine.program("uv", "exit 127")
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert kept_uv(machine)
    log = (machine.checkout / ".venv-setup.log").read_text()
    assert "-m pip install" in log
    assert "--require-hashes --no-deps -r requirements/uv.txt --target .tools/uv.new" in log


def test_a_python_with_venv_alone_gets_uv(machine: SetupMachine) -> None:
    """Debian's python3-venv without python3-pip: pip comes with the venv."""
    text = machine.folder / "uv-of-the-wheel"
    text.write_text(machine.uv_script())
    text.chmod(0o755)
    inside = machine.program("inside", f'cp {text} "$(dirname "$0")/uv"')
    machine.program(
        "python3",
        'case "$*" in\n'
        '    *ensurepip*) ;;\n'
        f'    "-m venv "*) mkdir -p "$3/bin"; cp {inside} "$3/bin/python" ;;\n'
        "    *) exit 1 ;;\n"
        "esac",
    )  # fmt: skip
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert kept_uv(machine)


def test_uv_of_a_venv_outlives_it(machine: SetupMachine) -> None:
    machine.uv()
    assert machine.setup().returncode == 0
    (machine.bin / "uv").rename(machine.checkout / ".venv/bin/uv")
    (machine.checkout / ".venv/bin/activate").unlink()
    (machine.checkout / ".venv/genreflow-stamp").unlink()
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert kept_uv(machine)
    assert not (machine.checkout / ".venv/bin/uv").exists()
