"""Commands that install packages into this environment."""

from __future__ import annotations

import importlib.util
import pathlib
import shlex
import shutil
import sys
from collections.abc import Sequence


def install_command(packages: Sequence[str], *, again: bool = False) -> str:
    """Return the command that installs packages here: with pip, or with uv where there is no pip.

    Args:
      packages: requirements, such as "numpy==1.26.4".
      again: whether to install them even if they are there.
    """
    own = pathlib.Path(sys.executable).with_name("uv")  # where `make env` puts it
    uv = str(own) if own.is_file() else shutil.which("uv")
    if importlib.util.find_spec("pip") is None and uv:
        command = [uv, "pip", "install", "--python", sys.executable]
        return shlex.join([*command, *(["--reinstall"] if again else []), *packages])
    command = [sys.executable, "-m", "pip", "install"]
    return shlex.join([*command, *(["--force-reinstall"] if again else []), *packages])
