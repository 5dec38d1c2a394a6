"""The server as a client sees it: start, answers, limits and stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from server_kit import PATIENCE, ROOT, Releases, Server, constant_files, files_of, linear_onnx, row, wait_for


def test_the_server_answers_the_scores_of_the_bundle(
    releases: Releases, server: Server, trained_files: dict[str, bytes]
) -> None:
    record = releases.put("parcels", trained_files, 3, 1)
    server.start()
    probe = json.loads(trained_files["probe.json"])
    status, answer = server.predict("parcels", *probe["rows"], headers={"X-Request-ID": "night-1"})
    assert status == 200
    assert (answer["model"], answer["version"], answer["digest"]) == ("parcels", 3, record.digest)
    assert answer["request_id"] == "night-1"
    assert [p["score"] for p in answer["predictions"]] == pytest.approx(probe["scores"], abs=1e-5)
    one_by_one = [server.predict("parcels", r)[1]["predictions"][0]["score"] for r in probe["rows"]]
    assert one_by_one == pytest.approx(probe["scores"], abs=1e-5)


def test_nullable_columns_can_be_left_out(releases: Releases, server: Server, trained_files: dict[str, bytes]) -> None:
    releases.put("parcels", trained_files, 1, 1)
    server.start()
    short = {k: v for k, v in row().items() if k in ("carrier", "parcel", "scheduled", "origin")}
    same = row(**{k: None for k in row() if k not in short})
    assert server.predict("parcels", short)[1]["predictions"] == server.predict("parcels", same)[1]["predictions"]


def test_bad_rows_are_named(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    bad = row(distance="far", scheduled="2026-05-03T09:15:00", seats=1.5, holiday=1, distanc=3)
    del bad["origin"]
    status, answer = server.predict("parcels", row(), bad)
    assert status == 422
    found = {(p["row"], p["field"]): p["problem"] for p in answer["detail"]}
    assert set(found) == {(1, f) for f in ("distance", "scheduled", "seats", "holiday", "distanc", "origin")}
    assert "did you mean 'distance'" in found[1, "distanc"]
    assert "offset" in found[1, "scheduled"]
    assert "missing" in found[1, "origin"]
    assert answer["version"] == 1 and answer["request_id"]
    many = server.predict("parcels", *[row(carrier=None)] * 50)[1]["detail"]
    assert [p["row"] for p in many] == list(range(20))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"rows": []}', 422),
        (b'{"rows": {}}', 422),
        (b'{"rows": [1]}', 422),
        (b'{"rows": [{}], "more": 1}', 422),
        (b'{"rows": [{"distance": NaN}]}', 422),
        (b'{"rows": [{"distance": 1e999}]}', 422),
        (b'{"rows": [{"distance": ' + b"9" * 400 + b"}]}", 422),
        (b'{"rows": [{"carrier": "\xff"}]}', 422),
        (b'{"rows": [{"carrier": "\\ud800"}]}', 422),
        (b"[" * 50_000, 422),
        (b'{"rows": [' + b"[" * 50_000, 422),
        (b'{"rows": [' + b",".join([b"{}"] * 10_001) + b"]}", 422),
        (b" " * (8 * 2**20 + 1), 413),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else str(value),
)
def test_wrong_bodies(shared: Server, body: bytes, status: int) -> None:
    got, answer, _ = shared.request("POST", "/models/parcels/predict", body, {"Content-Type": "application/json"})
    assert got == status
    assert answer["detail"][0]["problem"]


def test_wrong_headers(shared: Server) -> None:
    good = json.dumps({"rows": [row()]}).encode()
    path = "/models/parcels/predict"
    assert shared.request("POST", path, good, {"Content-Type": "text/plain"})[0] == 415
    assert shared.request("POST", path, good, {"Content-Encoding": "gzip"})[0] == 415
    assert shared.request("POST", path, good, {"Content-Type": "application/json; charset=utf-8"})[0] == 200
    assert shared.request("POST", path, good)[0] == 200
    assert shared.request("GET", path)[0] == 405
    status, answer, headers = shared.request("POST", path, good, {"X-Request-ID": "a b"})
    assert status == 422 and answer["detail"][0]["field"] == "X-Request-ID"
    assert headers["x-request-id"] != "a b"
    status, answer, headers = shared.request("POST", path, good, {"X-Request-ID": "a:1"})
    assert (status, headers["x-request-id"], answer["request_id"]) == (200, "a:1", "a:1")


def test_a_chunked_body_is_read_and_limited(shared: Server) -> None:
    def send(parts: list[bytes]) -> bytes:
        with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
            connection.sendall(
                b"POST /models/parcels/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            try:
                for part in parts:
                    connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
                connection.sendall(b"0\r\n\r\n")
            except OSError:
                pass  # the server refuses before the end
            return connection.recv(200).split(b"\r\n")[0]

    body = json.dumps({"rows": [row()]}).encode()
    assert send([body[:10], body[10:]]) == b"HTTP/1.1 200 OK"
    assert send([b" " * 2**20] * 9).startswith(b"HTTP/1.1 413")


def test_large_requests_are_scored_in_order(shared: Server) -> None:
    rows = [row(distance=float(n)) for n in range(10_000)]
    status, answer = shared.predict("linear", *rows)
    assert status == 200
    assert [p["score"] for p in answer["predictions"]] == pytest.approx([n * 2.0 for n in range(10_000)])


def test_a_score_that_overflows_is_refused(shared: Server) -> None:
    status, answer = shared.predict("linear", row(), row(distance=3e38), row(distance=1e300))
    assert status == 422
    assert [p["row"] for p in answer["detail"]] == [1, 2]


def test_unknown_models(shared: Server) -> None:
    status, answer = shared.predict("parcel", row())
    assert status == 404 and "did you mean 'parcels'" in answer["detail"][0]["problem"]
    assert shared.get("/models/parcel")[0] == 404
    assert shared.predict("a/b", row())[0] == 404
    assert shared.predict("..%2f..%2fetc", row())[0] == 404


def test_status_and_documentation(shared: Server) -> None:
    status, one = shared.get("/models/parcels")
    assert status == 200
    assert (one["version"], one["epoch"], one["serving"], one["source"]) == (1, 1, True, "store")
    assert one["pending_error"] is None and one["example"]["rows"]
    assert {m["model"] for m in shared.get("/models")[1]["models"]} == {"parcels", "linear"}
    status, document = shared.get("/openapi.json")
    assert status == 200
    operation = document["paths"]["/models/parcels/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert shared.predict("parcels", *content["example"]["rows"])[0] == 200
    row_schema = document["components"]["schemas"]["parcels_row"]
    assert row_schema["required"] == ["carrier", "parcel", "scheduled", "origin"]
    assert row_schema["properties"]["dest"]["type"] == ["string", "null"]
    missing = set(_references(document)) - {f"#/components/schemas/{n}" for n in document["components"]["schemas"]}
    assert not missing
    assert shared.get("/docs")[0] == 200


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [r for value in node.values() for r in _references(value)]
    return [r for value in node for r in _references(value)] if isinstance(node, list) else []


def test_the_server_requires_the_token(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.token = "s3cret"
    server.start()
    wrong = [{"Authorization": h} for h in ("Bearer wrong", "Basic s3cret", "s3cret", "Bearer", "Bearer s3cretx", "")]
    for headers in wrong:
        assert server.predict("parcels", row(), headers=headers)[0] == 401
        for path in ("/models", "/models/parcels", "/metrics"):
            assert server.get(path, headers)[0] == 401
    assert server.predict("parcels", row())[0] == 200
    assert server.get("/metrics")[0] == 200
    assert server.get("/health/live", {"Authorization": ""})[0] == 200
    assert server.get("/health/ready", {"Authorization": ""})[0] == 200
    assert "s3cret" not in server.log.read_text()


def test_metrics_count_what_happened(releases: Releases, server: Server) -> None:
    record = releases.put("parcels", constant_files("parcels", 0.25), 7, 4)
    server.start()
    for _ in range(3):
        server.predict("parcels", row(), row())
    server.predict("parcels", {})
    server.predict("nowhere", row())
    counter = 'perennial_serving_requests_total{{model="{}",outcome="{}",version="{}"}}'
    assert server.metric(counter.format("parcels", "answered", 7)) == 3
    assert server.metric(counter.format("parcels", "invalid", 7)) == 1
    assert server.metric(counter.format("parcels", "failed", 7)) == 0
    assert server.metric(counter.format("", "unavailable", "")) == 1
    assert server.metric('perennial_serving_rows_total{model="parcels",version="7"}') == 6
    assert server.metric('perennial_serving_request_seconds_count{model="parcels",version="7"}') == 3
    info = f'digest="{record.digest}",model="parcels",source="store",version="7"'
    assert server.metric(f"perennial_serving_model_info{{{info}}}") == 1
    assert server.metric('perennial_serving_release_age_seconds{model="parcels"}') > 0
    assert server.metric("perennial_serving_spool_accepted_rows_total") == 6
    wait_for(lambda: server.metric("perennial_serving_spool_synced_rows_total") == 6)


def test_the_server_starts_fast_and_imports_little(
    releases: Releases, server: Server, trained_files: dict[str, bytes]
) -> None:
    releases.put("parcels", trained_files, 1, 1)
    server.start()  # bytecode
    server.stop()
    server.start()
    assert server.process is not None
    used = psutil.Process(server.process.pid).cpu_times()
    assert used.user + used.system < 3.0  # processor time: 0.9 s
    code = (
        "import sys, include.serving.server; from include.registry.bundles import BundleStore; "
        "from include.scoring.predictor import Predictor; from pathlib import Path; "
        f"b = BundleStore(Path({str(releases.store.root)!r})); r = b.read_release('parcels'); "
        "from include.scoring.documents import Probe; found = b.open('parcels', r.digest); "
        "Predictor.load(found).warm_up(Probe.of(found)); "
        "heavy = {'pandas', 'sklearn', 'mlflow', 'skl2onnx', 'deltalake', 'great_expectations', 'airflow', "
        "'sqlalchemy', 'scipy', 'onnx', 'pyarrow'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_requests_and_closes_the_spool(releases: Releases, server: Server, number: int) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    for _ in range(20):
        assert server.predict("parcels", row())[0] == 200
    body = json.dumps({"rows": [row()]}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as under_way:
        head = b"POST /models/parcels/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        under_way.sendall(head + body[:50])
        time.sleep(0.2)
        assert server.process is not None
        server.process.send_signal(number)
        time.sleep(0.3)
        under_way.sendall(body[50:])
        answer = under_way.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200") and b"\r\nconnection: close\r\n" in answer
        assert server.process.wait(PATIENCE) == 0
    assert not list((server.home / "spool").glob("*/*/*.open"))
    lines = [line for f in (server.home / "spool").glob("*/parcels/*.jsonl") for line in f.read_text().splitlines()]
    assert len(lines) == 21


def test_a_taken_port_is_an_error(releases: Releases, server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "include.serving.server", "--port", str(taken.getsockname()[1])],
            cwd=ROOT, env={"PERENNIAL_HOME": str(server.home), "PATH": "/bin"}, capture_output=True, text=True,
            timeout=20,
        )  # fmt: skip
    assert done.returncode != 0
    assert "address already in use" in done.stderr


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """One server for all tests that do not change its state."""
    home = tmp_path_factory.mktemp("shared")
    releases = Releases(home / "bundles")
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    linear = files_of(
        "linear", linear_onnx(2.0), {"rows": [row()], "scores": [2800.0]}, task="regression",
        features=[{"name": "distance", "type": "number"}], output="score", output_kind="value",
    )  # fmt: skip
    releases.put("linear", linear, 1, 1)
    server = Server(home).start()
    yield server
    server.stop()
