"""The Grafana dashboard asks only for metrics and labels that a real model server has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from promql import parse
from server_kit import ROOT, Releases, Server, constant_files, row, wait_for

DASHBOARD = json.loads((ROOT / "include" / "monitoring" / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to every series."""
LEGEND = re.compile(r"\{\{(\w+)\}\}")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The labels of every series of a server with two workers that has answered, by the series' name."""
    home = tmp_path_factory.mktemp("dashboard")
    Releases(home / "bundles").put("parcels", constant_files("parcels", 0.25), 7, 4)
    server = Server(home, "s3cret", SERVING_WORKERS="2").start()
    try:
        assert server.predict("parcels", row())[0] == 200
        wait_for(lambda: "spool_open_bytes{" in str(server.get("/metrics")[1]))  # once the prediction is written
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(str(server.get("/metrics")[1])):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        yield found
    finally:
        server.stop()


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_names_series_and_labels_that_exist(series: dict[str, set[str]], query: str) -> None:
    metrics = parse(query).metrics
    assert metrics
    for name, labels in metrics.items():
        assert name in series, f"{name} does not exist"
        assert labels <= series[name] | OF_PROMETHEUS, f"{name} has only {sorted(series[name])}"


def test_legends_and_variables_name_labels_that_exist(series: dict[str, set[str]]) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            shown = set(LEGEND.findall(target["legendFormat"]))
            metrics = parse(target["expr"]).metrics
            assert all(shown <= series[name] | OF_PROMETHEUS for name in metrics), panel["title"]
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "model"]
    for name in ("job", "model"):
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables[name]["definition"]).groups()  # type: ignore[union-attr]
        assert metric in series and label in series[metric] | OF_PROMETHEUS
    used = set(re.findall(r"\$(\w+)", " ".join(QUERIES)))
    assert used == {"model", "job", "__rate_interval"}


def test_every_metric_of_the_server_is_on_the_dashboard_or_left_out_on_purpose(series: dict[str, set[str]]) -> None:
    left_out = {"perennial_serving_spool_closed_segments_total", "perennial_serving_request_seconds_count"}
    left_out |= {"perennial_serving_request_seconds_sum"}
    ours = {name for name in series if name.startswith("perennial_serving_") and not name.endswith("_created")}
    assert ours - {name for query in QUERIES for name in parse(query).metrics} == left_out


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) and DASHBOARD["uid"] == "perennial-serving"
    assert DASHBOARD["schemaVersion"] >= 39
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells and all(x < 24 for x, _ in mine), f"{panel['title']} overlaps another panel"
        cells |= mine
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize(
    "wrong",
    [
        "sum by (model) (rate(a_total[5m])", "rate(a_total)", "raet(a_total[5m])", "sum(a_total[5m])", "a{b=c}",
        "a{b=~\"(\"}", "histogram_quantile(a)", "a[5 minutes]", "a +", "sum by model (a)", "", "a b",
    ],
)  # fmt: skip
def test_the_parser_refuses_what_is_not_promql(wrong: str) -> None:
    with pytest.raises((ValueError, re.error)):
        parse(wrong)


def test_the_metrics_of_the_store_the_spool_and_the_scores(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 7, 4)
    server.start()
    looked = server.metric("perennial_serving_store_looked_at_seconds")
    wait_for(lambda: server.metric("perennial_serving_store_looked_at_seconds") > looked)
    server.predict("parcels", row(), row())
    server.predict("parcels", row(), headers={"X-Perennial-Probe": "1"})
    score, of = "perennial_serving_score_{}", 'model="parcels",version="7"'
    wait_for(lambda: server.metric(f"{score.format('count')}{{{of}}}") == 2)
    values = [server.metric(f'{score.format("bucket")}{{le="{le}",{of}}}') for le in ("0.2", "0.3", "1.0", "+Inf")]
    assert values == [0, 2, 2, 2] and server.metric(f"{score.format('sum')}{{{of}}}") == 0.5
    spool = 'perennial_serving_spool_{}{{model="parcels"}}'
    wait_for(lambda: server.metric(spool.format("open_bytes")) > 0)
    assert server.metric(spool.format("waiting_segments")) == 0
    assert server.metric("perennial_serving_spool_free_bytes") > 0
    assert server.metric("perennial_serving_spool_write_errors_total") == 0
    server.stop()
    server.start()
    (waiting,) = (server.home / "spool").glob("*/parcels/*.jsonl")
    assert server.metric(spool.format("waiting_segments")) == 1
    assert server.metric(spool.format("waiting_bytes")) == waiting.stat().st_size
    assert server.metric(spool.format("oldest_seconds")) > 0 and server.metric(spool.format("open_bytes")) == 0
