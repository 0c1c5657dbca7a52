"""Parser of kubeflow/Dockerfile and .dockerignore."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import pathlib
import re
import shutil

from tests.support import ROOT

DOCKERFILE = ROOT / "kubeflow" / "Dockerfile"
# The project's folder in the image.
HOME = "/opt/genreflow"
# Below it: the build links it to the folder of the base image's Python.
SITE_PACKAGES = ".venv/lib/python3/site-packages"
# Of TFX, by their locks; and the one that runs the tests.
GENERATIONS = sorted(path.name for path in (ROOT / "requirements").glob("[0-9]*"))
INSTALLED_GENERATION = ".".join(importlib.metadata.version("tfx").split(".")[:2])


@dataclasses.dataclass(frozen=True)
class Instruction:
    """Instruction of a Dockerfile.

    Attributes:
      word: RUN, COPY, ...
      flags: "--from=x" as {"from": "x"}.
      text: the rest.
    """

    word: str
    flags: dict[str, str]
    text: str


@dataclasses.dataclass
class Stage:
    """Build stage.

    Attributes:
      base: the image or stage after FROM.
      name: the name after AS; "" for the last stage.
      instructions: those after FROM.
    """

    base: str
    name: str
    instructions: list[Instruction] = dataclasses.field(default_factory=list)

    def texts(self, word: str) -> list[str]:
        return [found.text for found in self.instructions if found.word == word]

    def copied(self, generation: str = INSTALLED_GENERATION) -> list[tuple[str, str]]:
        """Return (source in the build context, destination below HOME) of each COPY from it."""
        pairs = []
        for found in self.instructions:
            if found.word == "COPY" and "from" not in found.flags:
                *sources, destination = found.text.replace("${GENERATION}", generation).split()
                pairs += [(source, destination) for source in sources]
        return pairs

    def environment(self, **given: str) -> dict[str, str]:
        """Return the variables that ENV sets, after substituting earlier ones and those `given`."""
        found: dict[str, str] = {}
        for instruction in self.instructions:
            if instruction.word in ("ENV", "ARG"):
                for name, value in re.findall(r'([A-Z_]+)=("[^"]*"|\S*)', instruction.text):
                    known = {**given, **found}
                    found[name] = re.sub(
                        r"\$\{(\w+)\}", lambda match, known=known: known[match[1]], value.strip('"')
                    )
        return found


def instructions(text: str) -> list[Instruction]:
    """Parse a Dockerfile; comments are dropped, also between continued lines."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    found = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, rest = line.split(maxsplit=1)
        flags = {}
        while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
            flags.setdefault(match[1], match[2])
            rest = rest[match.end() :]
        found.append(Instruction(word, flags, rest))
    return found


def stages() -> list[Stage]:
    found: list[Stage] = []
    for instruction in instructions(DOCKERFILE.read_text("utf-8")):
        if instruction.word == "FROM":
            base, *name = instruction.text.split(" AS ")
            found.append(Stage(base, *name or [""]))
        elif found:
            found[-1].instructions.append(instruction)
    return found


def stage(name: str) -> Stage:
    (found,) = [found for found in stages() if found.name == name]
    return found


def global_arguments() -> dict[str, str]:
    """Return the ARGs before the first FROM, with their defaults."""
    found = {}
    for instruction in instructions(DOCKERFILE.read_text("utf-8")):
        if instruction.word == "FROM":
            break
        name, value = instruction.text.split("=", 1)
        found[name] = value
    return found


def build_context(root: pathlib.Path) -> set[str]:
    """Return the files below `root` in the build context, by the rules of Docker's own library."""
    from docker.utils.build import exclude_paths

    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    # Docker's client always sends this file.
    dockerfile = "kubeflow/Dockerfile"
    found = exclude_paths(str(root), patterns, dockerfile)
    return {path for path in found if (root / path).is_file()} - {dockerfile, ".dockerignore"}


def copy_stage(found: Stage, context: set[str], target: pathlib.Path) -> None:
    """Copy the files that a stage copies from the checkout below `target`, as Docker does."""
    for source, destination in found.copied():
        for path in sorted(context):
            if path == source:
                # A destination that ends with a slash is a folder; "./" is the working folder.
                name = pathlib.PurePosixPath(source).name
                place = target / destination
                copy_file(path, place / name if destination.endswith("/") else place)
            elif path.startswith(f"{source}/"):
                copy_file(path, target / destination / path[len(source) + 1 :])


def copy_file(path: str, target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ROOT / path, target)
