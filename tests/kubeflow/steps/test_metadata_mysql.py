"""ML Metadata in a real MySQL-compatible server: connections, and messages about failures."""

from __future__ import annotations

import pytest

from components.common.errors import UsageError
from kubeflow.steps import metadata_url
from kubeflow.steps.metadata_url import (
    MetadataUnreachable,
    check_reachable,
    connection_config,
    parse,
)
from tests.support.mariadb_server import DATABASE, PASSWORD, USER, MariaDb

SECRET = {metadata_url.PASSWORD_VARIABLE: PASSWORD}


def test_an_empty_database_gets_its_tables_and_keeps_what_is_put(mariadb: MariaDb) -> None:
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    url = parse(mariadb.url)
    connection = connection_config(url, SECRET)
    check_reachable(url, connection)
    kind = metadata_store_pb2.ContextType(name="kind")
    kind_id = metadata_store.MetadataStore(connection).put_context_type(kind)
    check_reachable(url, connection)  # tables that are there already
    found = metadata_store.MetadataStore(connection).get_context_type("kind")
    assert found.id == kind_id


def test_no_password_is_a_mistake_that_names_the_variable(mariadb: MariaDb) -> None:
    with pytest.raises(UsageError, match=metadata_url.PASSWORD_VARIABLE):
        connection_config(parse(mariadb.url), {})


@pytest.mark.parametrize(
    ("url", "password", "words"),
    [
        (f"mysql://{USER}@127.0.0.1:{{port}}/{DATABASE}", "wrong", "server refused the connection"),
        (f"mysql://{USER}@127.0.0.1:{{port}}/other", PASSWORD, "Access denied for user"),
        (
            f"mysql://stranger@127.0.0.1:{{port}}/{DATABASE}",
            PASSWORD,
            "server refused the connection",
        ),
        (f"mysql://{USER}@127.0.0.1:1/{DATABASE}", PASSWORD, r"no response from 127\.0\.0\.1:1 "),
        (
            f"mysql://{USER}@nowhere.invalid/{DATABASE}",
            PASSWORD,
            r"no response from nowhere\.invalid",
        ),
    ],
)
def test_what_cannot_be_reached_is_told_without_the_password(
    mariadb: MariaDb, url: str, password: str, words: str
) -> None:
    given = parse(url.format(port=mariadb.port))
    connection = connection_config(given, {metadata_url.PASSWORD_VARIABLE: password})
    with pytest.raises(MetadataUnreachable, match=words) as told:
        check_reachable(given, connection)
    assert password not in str(told.value)
