"""Commands in docs/guides/aws.md: valid words, and policies that suffice."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import botocore.session
import botocore.validate
import pytest
import typer

from components.storage.uri import is_remote
from genreflow.cli import app as cli
from pipeline.config.load import load_config
from tests.support import ROOT

PAGE = ROOT / "docs" / "guides" / "aws.md"
TEXT = PAGE.read_text("utf-8")
BUCKET = "genreflow-123456789012-eu-central-1"
# Actions without resources, the only ones for which "*" is allowed.
SESSION_MANAGER = {
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
}  # fmt: skip
# Options that the AWS CLI adds to the services' own operations.
OWN_COMMANDS = {
    ("s3", "sync"): {"exclude", "include", "only-show-errors"},
    ("s3", "cp"): {"only-show-errors"},
    ("s3", "rb"): {"force"},
}
EVERYWHERE = {"query", "output"}


def blocks(kind: str) -> list[str]:
    """Return the blocks ```sh KIND."""
    return re.findall(rf"^```sh {kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def bash(program: str, folder: pathlib.Path, region: str = "eu-central-1") -> str:
    """Run a program in a folder, with the page's variables and the shell's own commands only."""
    variables = {"BUCKET": BUCKET, "REGION": region, "INSTANCE_TYPE": "g6.xlarge"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program], cwd=folder, text=True, capture_output=True,
        env={"PATH": os.environ["PATH"], **variables}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def words_of(program: str, folder: pathlib.Path, region: str = "eu-central-1") -> list[list[str]]:
    """Return the arguments of each call of `aws` and `genreflow`, which do nothing else here."""
    pretend = """
        exec 3> words
        say() { printf '%s\\0' "$@" >&3; printf '\\n\\0' >&3; }
        aws() { say aws "$@"; case "$*" in
            *run-instances* | *describe-instances*) echo i-0;;
            *create-security-group* | *describe-security-groups*) echo sg-0;;
            *describe-vpcs*) echo vpc-0;; *get-caller-identity*) echo 123456789012;;
            *) echo ami-0;; esac; }
        genreflow() { say genreflow "$@"; }
    """
    bash(pretend + program, folder, region)
    words = (folder / "words").read_text().split("\n\0")
    return [line.rstrip("\0").split("\0") for line in words if line]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the account's blocks in order; return the folder of the files and the words of calls."""
    folder = tmp_path_factory.mktemp("account")
    return folder, words_of("\n".join(blocks("account")), folder)


def genreflow_lines() -> Iterator[list[str]]:
    """Yield the arguments of each `genreflow` in the blocks, typed or started by systemd."""
    for block in re.findall(r"^```sh \w+\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r'(?:^|/bin/)genreflow"? (.*)', line)
            if found:
                yield shlex.split(found[1].replace("$BUCKET", BUCKET))


# Words


def test_the_blocks_are_shell() -> None:
    for kind in ("account", "session", "instance"):
        assert blocks(kind)
        for block in blocks(kind):
            subprocess.run(["bash", "-n", "-c", block], check=True)
    assert TEXT.count("```sh") == sum(len(blocks(k)) for k in ("account", "session", "instance"))


def test_every_genreflow_line_is_one_that_the_command_line_takes() -> None:
    app = typer.main.get_command(cli.app)
    seen = set()
    for command, *arguments in genreflow_lines():
        taken = app.commands[command].make_context(command, arguments)  # type: ignore[attr-defined]
        seen.add(command)
        config = taken.params.get("config")
        if config:
            settings = load_config(config, taken.params["overrides"])
            assert settings.dataset.kind == "fma"
            assert is_remote(taken.params["data_dir"])
        if command == "run":
            assert settings.storage.pipeline_root == f"s3://{BUCKET}/runs"
            assert settings.storage.push_destination == f"s3://{BUCKET}/serving"
    assert seen == {"devices", "check-data", "run", "predict", "serve"}


def test_what_it_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", TEXT))
    assert named
    assert named <= targets
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (PAGE.parent / link).exists(), link
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors
    paths = set(
        re.findall(r"(?<![\w/.:-])(?:requirements|serving)/(?:[\w.]+/)*[\w-]+\.[\w.-]*\w", TEXT)
    )
    assert "requirements/1.16/gpu.lock" in paths
    for path in paths:
        assert (ROOT / path).is_file(), path
    config = load_config("fma_small", [])
    for table, key in re.findall(r"(training)\.(\w+)", TEXT):
        assert hasattr(getattr(config, table), key), key


def test_every_variable_is_set_before_it_is_used() -> None:
    shells = {"HOME", "USER", "PATH"}
    for kind in ("account", "instance"):
        known = set(shells)
        for block in blocks(kind):
            for line in block.splitlines():
                used = set(re.findall(r"\$([A-Z_]+)", line))
                assigned = set(re.findall(r"(?:^|export |\s)([A-Z_]+)=", line))
                assert used <= known | assigned, line
                known |= assigned


def test_what_the_disk_figures_say_is_what_check_data_says() -> None:
    from pipeline.prepare import disk_space

    for name, tracks in (("fma_small", 8000), ("fma_medium", 25000)):
        config = load_config(name, [])
        clips = tracks * config.audio.clips_per_track
        needed = disk_space.run_bytes(clips, config.audio, config.models) / 1e9
        assert re.search(rf"`{name}` about {needed:.1f}(?!\d)", " ".join(TEXT.split())), needed


def test_every_aws_line_is_an_operation_with_its_parameters(typed: Any) -> None:
    """They are compared with botocore's service descriptions, which the AWS CLI also uses."""
    _, lines = typed
    session = botocore.session.get_session()
    seen = set()
    for _, service, operation, *words in (line for line in lines if line[0] == "aws"):
        seen.add((service, operation))
        options = {word.removeprefix("--") for word in words if word.startswith("--")} - EVERYWHERE
        if (service, operation) in OWN_COMMANDS:
            assert options <= OWN_COMMANDS[service, operation]
            continue
        model = session.get_service_model({"s3api": "s3"}.get(service, service))
        if operation == "wait":
            waiters = session.get_waiter_model(service).waiter_names
            names = {botocore.xform_name(name, "-"): name for name in waiters}
            waiter = session.get_waiter_model(service).get_waiter(names[words.pop(0)])
            operation = botocore.xform_name(waiter.operation, "-")
        names = {botocore.xform_name(name, "-"): name for name in model.operation_names}
        shape = model.operation_model(names[operation]).input_shape
        members = {botocore.xform_name(name, "-"): name for name in shape.members}
        # The CLI sets the number of instances itself.
        required = {botocore.xform_name(n, "-") for n in shape.required_members}
        assert required - {"min-count", "max-count"} <= options <= set(members), words
        for option, value in itertools.pairwise(words):
            if option.startswith("--") and value.startswith(("{", "[")):
                member = shape.members[members[option.removeprefix("--")]]
                found = botocore.validate.ParamValidator().validate(json.loads(value), member)
                assert not found.has_errors(), found.generate_report()
    assert {("ec2", "run-instances"), ("iam", "put-role-policy"), ("s3", "sync")} <= seen


def test_a_bucket_is_made_in_any_region(tmp_path: pathlib.Path) -> None:
    """Amazon refuses a constraint that names us-east-1, and requires one elsewhere."""
    (block,) = [block for block in blocks("account") if "create-bucket " in block]
    for region, constraint in (
        ("us-east-1", []),
        ("eu-central-1", ["--create-bucket-configuration", "LocationConstraint=eu-central-1"]),
    ):
        made, *others = words_of(block, tmp_path, region)
        assert made == ["aws", "s3api", "create-bucket", "--bucket", BUCKET, *constraint]
        assert [line[2] for line in others] == [
            "put-public-access-block", "put-bucket-encryption",
            "put-bucket-lifecycle-configuration",
        ]  # fmt: skip


def test_an_instance_and_its_group_are_found_again_by_the_names_that_they_were_given(
    typed: Any,
) -> None:
    """The new shell knows only the first block's variables."""
    folder, lines = typed
    made = {line[2]: line for line in lines if line[1] == "ec2"}
    tags = made["run-instances"][made["run-instances"].index("--tag-specifications") + 1]
    group = made["create-security-group"]
    (block,) = [block for block in blocks("account") if "describe-instances" in block]
    assert set(re.findall(r"\$(\w+)", block)) <= {"INSTANCE", "GROUP"}
    words = {line[2]: line for line in words_of(block, folder)}
    (name,) = re.findall(r"\{Key=Name,Value=([\w-]+)\}", tags)
    assert f"Name=tag:Name,Values={name}" in words["describe-instances"]
    named = group[group.index("--group-name") + 1]
    assert f"Name=group-name,Values={named}" in words["describe-security-groups"]


# The policies


def test_the_policies_allow_what_they_name_and_nothing_by_wildcard(typed: Any) -> None:
    folder, _ = typed
    found = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(found) == {"trust.json", "storage.json", "session.json"}
    for name, document in found.items():
        assert document["Version"] == "2012-10-17"
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = _listed(statement["Action"])
            assert not [action for action in actions if "*" in action], name
            for resource in _listed(statement.get("Resource", [])):
                if name == "session.json":
                    assert resource == "*"
                    assert set(actions) == SESSION_MANAGER
                else:
                    assert re.fullmatch(rf"arn:aws:s3:::{BUCKET}(/[a-z]+/\*)?", resource)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


# keep.sh


AWS = """#!/bin/sh
# In place of the AWS CLI: the bucket is a folder.
here() { echo "$1" | sed "s|^s3://$BUCKET|$STORE|"; }
[ "$1" = s3 ]
case $2 in
    cp) to=$(here "$4"); mkdir -p "$(dirname "$to")"; cp "$(here "$3")" "$to" ;;
    sync) echo "$@" >>"$STORE/synced" ;;
    *) exit 2 ;;
esac
"""


@pytest.fixture
def instance(tmp_path: pathlib.Path) -> Any:
    """Return a function that types the instance's block with a text, in a home of its own."""
    store, programs, work = (
        tmp_path / name for name in ("store", "bin", "genreflow/genreflow-work")
    )
    for folder in (store, programs, work):
        folder.mkdir(parents=True)
    (programs / "aws").write_text(AWS)
    (programs / "aws").chmod(0o755)
    head = f"export HOME='{tmp_path}' STORE='{store}' BUCKET PATH='{programs}':\"$PATH\"\n"

    def type_in(holding: str, then: str = "") -> None:
        (block,) = [block for block in blocks("instance") if holding in block]
        bash(f"{head}{block}\n{then}", work)

    return type_in, store, work


def test_a_kept_work_folder_comes_back_as_it_was(instance: Any) -> None:
    type_in, store, work = instance
    kept = {"metadata.sqlite", "results.json", ".owner", "checkpoints/cnn.npz", "report/index.html"}
    for name in (*kept, "cache/clips"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(name)
    type_in("keep.sh <<", "~/keep.sh")
    (synced,) = (store / "synced").read_text().splitlines()
    assert f"s3://{BUCKET}/work " in synced
    shutil.rmtree(work.parent)
    work.parent.mkdir()
    work.mkdir()
    type_in("tar -xf")
    found = {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()}
    assert found == kept
    assert all((work / name).read_text() == name for name in kept)


def test_where_no_run_began_nothing_that_was_kept_is_overwritten(instance: Any) -> None:
    type_in, store, work = instance
    (work / ".owner").write_text("another")
    type_in("keep.sh <<", "~/keep.sh")
    assert list(store.iterdir()) == []
