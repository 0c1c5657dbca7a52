"""Tests of places' names."""

from __future__ import annotations

import pytest

from components.storage.uri import (
    S3Uri,
    UriError,
    checked_place,
    is_remote,
    join,
    parse,
    without_userinfo,
)


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://b-1.x/a/b c?#%20.wav", "b-1.x", "a/b c?#%20.wav"),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket", "bucket", ""),
        ("s3://bucket//a//b/", "bucket", "/a//b/"),
    ],
)
def test_bucket_and_key_are_what_is_stored(text: str, bucket: str, key: str) -> None:
    assert parse(text) == S3Uri(bucket, key)
    assert str(parse(text)).rstrip("/") == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3:///key", "s3://id:pa55word@bucket/key", "s3://a b/x", "s3://x/y", "s3://-ab/x",
     "http://user:pa55word@host/x", "/a/path"],
)  # fmt: skip
def test_what_is_no_object_is_refused_without_repeating_secrets(text: str) -> None:
    with pytest.raises(UriError) as caught:
        parse(text)
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/data/x/", "/data/x/"),
        ("relative", "relative"),
        ("", ""),
        ("s3://bucket/a/b//", "s3://bucket/a/b"),
        ("s3://bucket/", "s3://bucket"),
    ],
)
def test_places_are_paths_or_uris_without_slashes_at_the_end(given: str, taken: str) -> None:
    assert checked_place(given, "x") == taken


@pytest.mark.parametrize(
    "text", ["gs://bucket/a", "file:///a", "s3://bucket/../a", "s3://bucket/a//b", "s3://b@c/x"]
)
def test_places_of_other_kinds_are_refused_by_the_name_they_were_given_for(text: str) -> None:
    with pytest.raises(UriError):
        checked_place(text, "--data-dir")


def test_joining_is_the_same_for_both_kinds() -> None:
    assert join("s3://bucket/a", "b", "c") == "s3://bucket/a/b/c"
    assert join("/a", "b") == "/a/b"
    assert is_remote("s3://bucket/a")
    assert not is_remote("/s3://bucket")
    assert without_userinfo("https://user:word@host:1/x?y#z") == "https://host:1/x"
    assert without_userinfo("/a@b") == "/a@b"
