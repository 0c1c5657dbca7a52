"""A machine to run scripts/setup_env.sh on: its programs are fakes that a test chooses."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

from tests.support import ROOT

# What the scripts call, apart from Pythons, uv, a compiler and what knows of the C library.
TOOLS = (
    "awk", "cat", "chmod", "cp", "cut", "date", "dirname", "env", "flock", "grep", "head", "mkdir",
    "mv", "rm", "sed", "sh", "sha256sum", "sleep", "tail", "tr", "uname",
)  # fmt: skip

LOCK = "one==1 \\\n    --hash=sha256:1\npyfarmhash==0.3.2 \\\n    --hash=sha256:2\ntwo==2\n"

# A Python answers what the scripts ask: which it is, whether it is that version, its compiler.
PYTHON = """#!/bin/sh
for last; do :; done
case "$*" in
    *sys.argv*) [ "$last" = {version} ] ;;
    *bz2*) echo "{version} {path}" ;;
    *CXX*) echo c++ ;;
    *include*) echo /usr/include ;;
    --version) echo "Python {version}.1" ;;
    "-m pip install"*) {pip} ;;
    "-m pip --version") [ -n "{pip}" ] ;;
    *) exit 1 ;;
esac
"""

# uv makes a .venv as far as the setup looks at it, and brings Pythons if the machine lets it.
UV = """#!/bin/sh
echo "$*" >>{calls}
echo "${{UV_DEFAULT_INDEX-}} ${{SSL_CERT_FILE-}}" >{calls}-settings
for last; do :; done
case "$1 $2" in
    "--version ") echo "uv 9.9.9" ;;
    "venv "*)
        mkdir -p "$last/bin"
        cp "$3" "$last/bin/python"
        echo "VIRTUAL_ENV=$PWD/$last" >"$last/bin/activate"
        ;;
    "python install") {download} ;;
    "python find") echo {folder}/uv-python"$last" ;;
    "pip sync") {sync} ;;
esac
"""


class SetupMachine:
    """A checkout with the real scripts, and a PATH with nothing but what was added.

    Attributes:
        checkout: The folder in which the setup runs.
    """

    def __init__(self, folder: pathlib.Path, *, glibc: str = "2.41") -> None:
        self.folder = folder
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self._calls = folder / "uv-calls"
        self._os_release = folder / "os-release"
        self.os_release("debian", "13")
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        shutil.copytree(
            ROOT / "requirements/pyfarmhash",
            self.checkout / "requirements/pyfarmhash",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for generation in ("1.16", "1.21"):
            (self.checkout / "requirements" / generation).mkdir()
            (self.checkout / "requirements" / generation / "dev.lock").write_text(LOCK)
        (self.checkout / "requirements/uv.txt").write_text("uv==9.9.9 \\\n    --hash=sha256:0\n")
        (self.checkout / "setup.py").touch()
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.program("getconf", f'echo "glibc {glibc}"')
        self.program("c++", "for last; do :; done; : >.venv.probe")

    def program(self, name: str, body: str) -> pathlib.Path:
        """Add a program to the PATH, or replace one."""
        return self._script(self.bin / name, f"#!/bin/sh\n{body}\n")

    def python(self, version: str, name: str = "python3", pip: str = "") -> pathlib.Path:
        """Add a Python, whose pip (none by default) is a shell command."""
        path = self.bin / name
        return self._script(path, PYTHON.format(version=version, path=path, pip=pip))

    def real_python(self, name: str = "python3") -> pathlib.Path:
        """Add this test's own Python, but without pip, venv and the modules of a whole one."""
        refuse = 'case "$*" in -m*|*ensurepip*|*bz2*) exit 1;; esac'
        return self.program(name, f'{refuse}\nexec "{sys.executable}" "$@"')

    def uv(self, *, brings: str = "", sync: str = ":") -> None:
        """Add uv, which can download one version of Python (by default it is out of reach)."""
        text = self.uv_script(brings=brings, sync=sync)
        self._script(self.bin / "uv", text)

    def uv_script(self, *, brings: str = "", sync: str = ":") -> str:
        """Return the text of a uv."""
        download = 'echo "error: no"; echo "  cause: unreachable"; exit 1'
        if brings:
            path = self.folder / f"uv-python{brings}"
            self._script(path, PYTHON.format(version=brings, path=path, pip=""))
            download = f'[ "$3" = {brings} ]'
        return UV.format(calls=self._calls, download=download, folder=self.folder, sync=sync)

    def os_release(self, name: str, version: str, title: str = "") -> None:
        """Make it another system."""
        self._os_release.write_text(f'PRETTY_NAME="{title}"\nID={name}\nVERSION_ID="{version}"\n')

    def setup(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/setup_env.sh."""
        return subprocess.run(
            [self.bin / "sh", "scripts/setup_env.sh"],
            cwd=self.checkout,
            env={
                "PATH": str(self.bin),
                "HOME": str(self.folder),
                "OS_RELEASE": str(self._os_release),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    def uv_calls(self) -> list[str]:
        """Return the arguments of uv's calls so far, and forget them."""
        if not self._calls.exists():
            return []
        lines = self._calls.read_text().splitlines()
        self._calls.unlink()
        return [line for line in lines if line != "--version"]

    def uv_settings(self) -> list[str]:
        """Return uv's package index and file of certificates, of its last call."""
        return self._calls.with_name("uv-calls-settings").read_text().strip("\n").split(" ")

    def stamp(self) -> list[str]:
        """Return the generation and the Python of a finished .venv; without one, nothing."""
        path = self.checkout / ".venv/genreflow-stamp"
        return path.read_text().split()[1:] if path.exists() else []

    @staticmethod
    def _script(path: pathlib.Path, text: str) -> pathlib.Path:
        # Never through a link, to the system's own program.
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path


MakeMachine = Callable[..., SetupMachine]


def line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says what is set up and why."""
    assert done.returncode == 0, done.stderr
    (found,) = [text for text in done.stdout.splitlines() if text.startswith("Setting up .venv")]
    return found
