"""A port in use is a clear error before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from include.errors import ConfigurationError
from include.stack import ports
from include.stack.layout import HOST, Stack


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def stack(home: Path, **wanted: int) -> Stack:
    airflow, mlflow, serving = (wanted.get(service) or free_port() for service in ("airflow", "mlflow", "serving"))
    return Stack(home, airflow, mlflow, serving)


def test_free_ports_pass(tmp_path: Path) -> None:
    ports.require_free(stack(tmp_path))


@pytest.mark.parametrize(
    "service, variable", [("airflow", "AIRFLOW_PORT"), ("mlflow", "MLFLOW_PORT"), ("serving", "SERVING_PORT")]
)
@pytest.mark.parametrize("address", [HOST, "0.0.0.0"])
def test_taken_port_names_variable_and_holder(tmp_path: Path, service: str, variable: str, address: str) -> None:
    with socket.socket() as other:
        other.bind((address, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as error:
            ports.require_free(stack(tmp_path, **{service: port}))
    assert f"port {port} is taken (held by" in str(error.value)
    assert f"set {variable} to a free port" in str(error.value)


def test_a_recently_closed_port_is_free(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection((HOST, port))
        accepted, _ = server.accept()
        accepted.close()  # the server closes first, so TIME_WAIT stays on its port
        client.close()
    ports.require_free(stack(tmp_path, mlflow=port))


@pytest.mark.parametrize("value", ["x", "0", "70000", "-1"])
def test_an_invalid_port_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MLFLOW_PORT", value)
    with pytest.raises(ConfigurationError, match="MLFLOW_PORT="):
        Stack.from_environment()


def test_two_services_on_one_port_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_PORT", "8000")
    monkeypatch.delenv("SERVING_PORT", raising=False)
    with pytest.raises(ConfigurationError, match="AIRFLOW_PORT and SERVING_PORT are both 8000"):
        Stack.from_environment()
