"""The instance's policy in docs/guides/aws.md allows all S3 requests of a run, and no more.

moto's server enforces it for the keys of a session of the role, as an instance has them. It
differs from S3 in two ways. It does not support s3:prefix: a statement with a condition allows
nothing. So the condition is removed there, and the tests compare each listing with it. And it
checks the right to DeleteObjects on the bucket, where S3 checks it on each key. So the role may
delete "the bucket" there, which affects nothing else.
"""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.artifacts import files as artifact_files
from components.storage import objects
from components.storage.copies import local_copies
from components.storage.errors import ObjectForbidden
from tests.support import ROOT, s3_server

TEXT = (ROOT / "docs" / "guides" / "aws.md").read_text("utf-8")
BUCKET, OTHER = "genreflow-123456789012-eu-central-1", "somebody-elses"
DATA, RUNS = f"s3://{BUCKET}/fma", f"s3://{BUCKET}/runs"
OUTPUTS = ("runs", "serving", "work")
MULTIPART_BYTES = 9 << 20  # boto3 splits objects of more than 8 MiB


def document(name: str) -> Any:
    """Return a JSON file of the page, with the bucket's name inserted as the shell does."""
    (text,) = re.findall(rf"^cat > {name} <<JSON\n(.*?)^JSON", TEXT, re.MULTILINE | re.DOTALL)
    return json.loads(text.replace("$BUCKET", BUCKET))


POLICY = document("storage.json")


def may_list(prefix: str) -> bool:
    """Return whether the policy's condition (IAM's StringLike) allows listing a prefix."""
    return any(
        fnmatch.fnmatchcase(prefix, pattern)
        for statement in POLICY["Statement"]
        if "s3:ListBucket" in statement["Action"]
        for pattern in statement["Condition"]["StringLike"]["s3:prefix"]
    )


@dataclasses.dataclass
class Store:
    """Server with access control, behind a proxy that records the requests."""

    proxy: s3_server.Proxy
    keys: dict[str, str]

    def listed(self) -> list[str]:
        """Return the prefixes of all listings."""
        found = []
        for exchange in self.proxy.requests("GET"):
            url = urllib.parse.urlsplit(exchange.path)
            if url.path.strip("/").count("/") == 0:
                query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
                found.append(query.get("prefix", [""])[0])
        return found


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the server's port, and keys of a session of a role that has the page's policy."""
    import boto3

    with s3_server.server() as port:
        endpoint = f"http://127.0.0.1:{port}"

        def client(service: str) -> Any:
            return boto3.client(
                service, endpoint_url=endpoint, region_name=s3_server.REGION,
                aws_access_key_id="admin", aws_secret_access_key="admin",
            )  # fmt: skip

        s3, iam = client("s3"), client("iam")
        for bucket in (BUCKET, OTHER):
            where = {"LocationConstraint": s3_server.REGION}
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            for key in ("fma/song.mp3", "runs/theirs", "secret/x"):
                s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        policy = copy.deepcopy(POLICY)
        for statement in policy["Statement"]:
            statement.pop("Condition", None)
        at_bucket = {"Effect": "Allow", "Action": "s3:DeleteObject"}
        policy["Statement"].append({**at_bucket, "Resource": f"arn:aws:s3:::{BUCKET}"})
        role = iam.create_role(
            RoleName="genreflow", AssumeRolePolicyDocument=json.dumps(document("trust.json"))
        )["Role"]
        iam.put_role_policy(
            RoleName="genreflow", PolicyName="storage", PolicyDocument=json.dumps(policy)
        )
        keys = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="instance")
        # From here each request needs a right.
        switch = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(switch).close()
        yield (
            port,
            {
                "AWS_ACCESS_KEY_ID": keys["Credentials"]["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": keys["Credentials"]["SecretAccessKey"],
                "AWS_SESSION_TOKEN": keys["Credentials"]["SessionToken"],
            },
        )


@pytest.fixture
def store(guarded: tuple[int, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Yield the store as the instance sees it; finally check that S3 would refuse no request."""
    port, keys = guarded
    proxy = s3_server.Proxy(port)
    for name, value in {**s3_server.environment(proxy.endpoint), **keys}.items():
        monkeypatch.setenv(name, value)
    store = Store(proxy, keys)
    yield store
    proxy.close()
    assert [prefix for prefix in store.listed() if not may_list(prefix)] == []


def test_the_data_can_be_listed_and_read(store: Store, tmp_path: pathlib.Path) -> None:
    (song,) = objects.list_objects(f"{DATA}/")
    assert objects.any_below(DATA)
    assert objects.find(song.uri) == song.state
    assert objects.find(f"{DATA}/missing") is None
    assert objects.read(song.uri, 10) == b"x"
    objects.download(song.uri, tmp_path / "song", song.state, 10)
    assert objects.sha256(song.uri, song.state)
    assert set(store.listed()) == {"fma/", "fma/song.mp3", "fma/missing"}


@pytest.mark.parametrize("prefix", OUTPUTS)
def test_outputs_can_be_written_read_and_removed(
    prefix: str, store: Store, tmp_path: pathlib.Path
) -> None:
    root = f"s3://{BUCKET}/{prefix}/a"
    artifact_files.empty_folder(root)
    artifact_files.write_text(f"{root}/table.csv", "a,b\n")
    with artifact_files.written_file(f"{root}/whole.bin") as file:
        file.write_bytes(bytes(MULTIPART_BYTES))
    assert store.proxy.requests("PUT", "uploadId=")
    assert artifact_files.matching(root, "*.csv") == [f"{root}/table.csv"]
    assert artifact_files.read_text(f"{root}/table.csv") == "a,b\n"
    artifact_files.remove(f"{root}/table.csv")
    (tmp_path / "saved_model.pb").write_bytes(b"m")
    objects.upload_folder(tmp_path, f"{root}/model", last="saved_model.pb")
    assert objects.download_folder(f"{root}/model", tmp_path / "back", 10) == 1
    assert objects.delete_below(root) == 2
    assert not objects.any_below(root)


def test_an_upload_that_breaks_off_is_taken_back(store: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_bytes(bytes(MULTIPART_BYTES))
    store.proxy.fail(100, s3_server.DENIED, method="PUT", path="uploadId=")
    with pytest.raises(ObjectForbidden):
        objects.upload(tmp_path / "x", f"{RUNS}/x")
    assert [exchange.status for exchange in store.proxy.requests("DELETE", "uploadId=")] == [204]


REFUSED: dict[str, Callable[[], object]] = {
    "to change the data": lambda: objects.write(f"{DATA}/song.mp3", b"y"),
    "to add to the data": lambda: objects.write(f"{DATA}/more.mp3", b"y"),
    "to remove data": lambda: objects.delete(f"{DATA}/song.mp3"),
    "to write beside the prefixes": lambda: objects.write(f"s3://{BUCKET}/x", b"y"),
    "to write below a name like a prefix": lambda: objects.write(f"{RUNS}-2/x", b"y"),
    "to read beside the prefixes": lambda: objects.read(f"s3://{BUCKET}/secret/x", 10),
    "to list another bucket": lambda: list(objects.list_objects(f"s3://{OTHER}/runs/")),
    "to read another bucket": lambda: objects.read(f"s3://{OTHER}/runs/theirs", 10),
    "to write to another bucket": lambda: objects.write(f"s3://{OTHER}/runs/x", b"y"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_not_allowed(what: str, store: Store) -> None:
    with pytest.raises(ObjectForbidden):
        REFUSED[what]()


@pytest.mark.parametrize("prefix", ["", "secret/", "f", "runs-2/", "fm*/"])
def test_no_other_prefix_may_be_listed(prefix: str) -> None:
    assert not may_list(prefix)


def test_local_copies_of_artifacts_work_within_it(store: Store, tmp_path: pathlib.Path) -> None:
    uri = f"{RUNS}/Trainer.vgg16/model/5"
    with local_copies() as copies:
        for attempt in (b"1", b"2"):
            model = pathlib.Path(copies.create(uri))
            (model / "saved_model.pb").write_bytes(attempt)
            (model / "variables").write_bytes(bytes(MULTIPART_BYTES))
            copies.publish(uri, last="saved_model.pb")
    with local_copies() as copies:
        fetched = pathlib.Path(copies.fetch(uri))
        assert (fetched / "saved_model.pb").read_bytes() == b"2"
        assert (fetched / "variables").stat().st_size == MULTIPART_BYTES
        assert (pathlib.Path(copies.fetch(DATA)) / "song.mp3").read_bytes() == b"x"


def run_with_the_keys(program: str, *arguments: str) -> list[str]:
    """Return the lines that a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def test_tfx_works_within_it_too(store: Store, tmp_path: pathlib.Path) -> None:
    """TFX's own file access goes by this project's client (components.artifacts.tfx_files)."""
    (tmp_path / "large").write_bytes(bytes(MULTIPART_BYTES))
    program = """
        import os, sys
        from components.artifacts import tfx_files
        from components.storage.errors import StorageError
        data, runs, local = sys.argv[1:]
        tfx_files.prepare(data, runs)
        from tfx.dsl.io import fileio
        def refused(work):
            try:
                work()
            except StorageError:
                return True
            return False
        fileio.makedirs(runs + "/f")
        fileio.copy(local, runs + "/f/x")
        fileio.copy(runs + "/f/x", runs + "/f/y", overwrite=True)
        fileio.copy(runs + "/f/y", local + "-again")
        print(os.path.getsize(local + "-again"), fileio.exists(runs + "/f/y"))
        fileio.remove(runs + "/f/x")
        print(fileio.exists(runs + "/f/x"), fileio.isdir(runs + "/f"))
        fileio.rmtree(runs + "/f")
        print(fileio.exists(runs + "/f/y"))
        with fileio.open(data + "/song.mp3", "rb") as file:
            print(file.read())
        print(refused(lambda: fileio.remove(data + "/song.mp3")),
              refused(lambda: fileio.copy(runs + "/theirs", data + "/song.mp3", overwrite=True)))
        sys.stdout.flush()
        os._exit(0)
    """
    assert run_with_the_keys(program, DATA, RUNS, str(tmp_path / "large")) == [
        f"{MULTIPART_BYTES} True",
        "False True",
        "False",
        "b'x'",
        "True True",
    ]
