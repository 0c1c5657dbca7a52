"""ML Metadata's URL: its forms, and no secret in it or in its messages."""

from __future__ import annotations

import pytest

from components.common.errors import UsageError
from kubeflow.steps import metadata_url
from kubeflow.steps.metadata_url import MetadataUrl, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///a/b.sqlite", MetadataUrl("sqlite", "/a/b.sqlite")),
        ("sqlite:////a/b.sqlite", MetadataUrl("sqlite", "/a/b.sqlite")),
        ("mysql://u@db:3307/g", MetadataUrl("mysql", "g", "db", 3307, "u")),
        ("mysql://u@mysql.ns.svc/g_1", MetadataUrl("mysql", "g_1", "mysql.ns.svc", 3306, "u")),
    ],
)
def test_both_forms_are_read_and_written_back(text: str, expected: MetadataUrl) -> None:
    url = parse(text)
    assert url == expected
    assert parse(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "", "a.sqlite", "sqlite://a.sqlite", "sqlite:///", "sqlite:///a/", "sqlite://host/a.sqlite",
        "mysql://db/g", "mysql://u@/g", "mysql://u@db", "mysql://u@db/", "mysql://u@db/a/b",
        "mysql://u@db:x/g", "mysql://u@db:99999/g", "postgres://u@db/g", "mysql://u@db/g?ssl=0",
    ],
)  # fmt: skip
def test_what_is_no_such_url_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(UsageError, match="write mysql://user@host"):
        parse(text)


@pytest.mark.parametrize("text", ["mysql://u:hush@db/g", "mysql://u:hush@db:1/g", "x://u:hush@h"])
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match=metadata_url.PASSWORD_VARIABLE) as told:
        parse(text)
    assert "hush" not in str(told.value)
