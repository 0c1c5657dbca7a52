"""The dashboard and Prometheus of the compose file fit what our server exposes."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.protocol.names import METRICS_PATH
from serving.protocol.protos import predict_pb2, prediction_service_pb2_grpc
from serving.protocol.tensors import to_proto
from tests.support import ROOT
from tests.support.serving_server import RunningServer
from tests.support.serving_toys import GENRES, clips

SERVING = ROOT / "serving"
GRAFANA = SERVING / "monitoring" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "genreflow.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def exposed(server: RunningServer) -> dict[str, Any]:
    """Return the samples of each metric after four rows, of which one is silent, to version 2."""
    sounds = clips(4)
    sounds[3] = 0
    request = predict_pb2.PredictRequest(inputs={"waveform": to_proto(sounds)})
    request.model_spec.name = "genreflow"
    request.model_spec.version.value = 2
    with server.channel() as channel:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    with urllib.request.urlopen(f"{server.url}{METRICS_PATH}") as response:
        text = response.read().decode()
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def test_every_metric_and_label_of_the_dashboard_is_exposed(exposed: dict[str, Any]) -> None:
    asked = [*EXPRESSIONS, *(one["query"]["query"] for one in DASHBOARD["templating"]["list"])]
    assert len(EXPRESSIONS) >= 8
    for expression in asked:
        names = re.findall(r":(?:genreflow|tensorflow):[a-z_:]+(?:\(_total\)\?)?", expression)
        assert names, expression
        for name in names:
            matching = [one for one in exposed if re.fullmatch(name, one)]
            assert matching, f"{name} is not exposed"
            labels = {key for one in matching for sample in exposed[one] for key in sample.labels}
            used = set(re.findall(r"(\w+)=~", expression)) - {"__name__"}
            by = re.findall(r"by \(([^)]*)\)", expression)
            used |= {word for words in by for word in re.split(r",\s*", words)}
            assert used <= labels | {"genre"}, (expression, labels)
    assert any(
        "genre" in sample.labels for sample in exposed[":genreflow:serving:predicted_genre_total"]
    )


def test_the_answers_are_counted_by_version(exposed: dict[str, Any]) -> None:
    def total(name: str) -> float:
        samples = exposed[f":genreflow:serving:{name}"]
        return sum(one.value for one in samples if one.labels["version"] == "2")

    genres = {
        one.labels["genre"]
        for one in exposed[":genreflow:serving:predicted_genre_total"]
        if one.labels["version"] == "2"
    }
    assert genres == set(GENRES)
    assert total("near_silent_rows_total") >= 1
    assert total("predicted_genre_total") == total("confidence_count") >= 3


def test_the_profile_has_prometheus_with_our_server_and_grafana_with_the_dashboard() -> None:
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())
    services = compose["services"]
    extra = {name for name, one in services.items() if one.get("profiles") == ["monitoring"]}
    assert extra == {"prometheus", "grafana"}
    for name in extra:
        one = services[name]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", one["image"])
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])
        for volume in one["volumes"]:
            if volume["type"] == "bind":
                assert volume["read_only"]
                assert (SERVING / volume["source"]).exists(), volume
            else:
                assert volume["source"] in compose["volumes"]
    scraped = yaml.safe_load((SERVING / "monitoring" / "prometheus.yml").read_text())
    (job,) = scraped["scrape_configs"]
    assert job["metrics_path"] == METRICS_PATH
    (targets,) = job["static_configs"]
    host, port = targets["targets"][0].split(":")
    assert host in services
    assert f"--rest_api_port={port}" in services[host]["command"]
    mounted = {volume["source"]: volume["target"] for volume in services["prometheus"]["volumes"]}
    config = mounted["./monitoring/prometheus.yml"]
    assert f"--config.file={config}" in services["prometheus"]["command"]


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())
    mounted = {
        volume["source"]: volume["target"] for volume in compose["services"]["grafana"]["volumes"]
    }
    provisioning = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert used == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "genreflow.yml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == mounted["./monitoring/grafana/dashboards"]
    home = compose["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    assert home == f"{provider['options']['path']}/genreflow.json"
    boxes = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(boxes)) == len(boxes) == len({panel["id"] for panel in DASHBOARD["panels"]})
