"""`make bench` marks what misses its bar, and reports a part that fails next to the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.errors import ConfigurationError
from tests.bench.__main__ import chosen, measured
from tests.bench.figures import FAILED, HEAD, MET, MISSED, Failure, Row, machine, number, table
from tests.bench.shared import Bench


def cells(text: str) -> list[list[str]]:
    """The texts of a Markdown table, without its line of dashes."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [line for line in lines if not set("".join(line)) <= {"-"}]


def test_the_median_of_the_rounds_decides_whether_a_bar_is_met() -> None:
    fast = Row("start", [90.0, 99.0, 130.0], "s", bar=100.0)
    slow = Row("start", [90.0, 101.0, 102.0], "s", bar=100.0)
    assert [fast.met, slow.met, Row("start", [1.0], "s").met] == [True, False, None]
    assert fast.cells() == ["start", "99 s (90 to 130)", "", "", "at most 100 s", MET, ""]
    assert slow.cells()[5] == MISSED


def test_a_peer_is_compared_round_by_round_and_the_bar_is_one_of_the_ratio() -> None:
    dag = Row("DAG", [12.0, 14.0, 10.0], "s", "one process", [10.0, 10.0, 10.0], bar=1.25)
    assert dag.ratios == [1.2, 1.4, 1.0] and dag.met
    assert dag.cells()[1:6] == [
        "12 s (10 to 14)",
        "one process: 10 s (10 to 10)",
        "1.2 (1 to 1.4)",
        "at most 1.25",
        MET,
    ]
    server = Row("server", [2500.0], "/s", "peer", [75.0, 85.0, 80.0], bar=40.0, at_least=True)
    assert server.ratios == [31.25] and not server.met
    assert server.cells()[3:6] == ["31.2", "at least 40", MISSED]
    assert Row("server", [3200.0], "/s", "peer", [80.0], bar=40.0, at_least=True).met


def test_a_bar_is_not_met_by_rounding() -> None:
    row = Row("ratio", [1.2501], "s", "peer", [1.0], bar=1.25)
    assert row.cells()[3] == "1.25" and not row.met


@pytest.mark.parametrize(
    "value, text", [(0.2744, "0.274"), (1.0, "1"), (17.38, "17.4"), (1460.4, "1,460"), (0.0, "0"), (100.0, "100")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_part_that_fails_is_reported_and_the_others_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    def good(bench: Bench) -> Iterator[Row]:
        yield Row("good", [1.0], "s")

    def bad(bench: Bench) -> Iterator[Row]:
        yield Row("measured before", [2.0], "s")
        raise RuntimeError("no stack |\n here")

    rows: list[Row | Failure] = []
    with Bench() as bench:
        measured({"bad": bad, "good": good}, bench, rows)
    found = cells(table(rows))
    assert found[0] == list(HEAD)
    assert [line[0] for line in found[1:]] == ["measured before", "bad", "good"]
    assert found[2][1] == FAILED and found[2][6] == "RuntimeError: no stack / here"
    assert len({len(line) for line in table(rows).splitlines()}) == 1, "the columns are aligned"
    assert "Traceback" in capsys.readouterr().out


def test_only_some_parts_run_and_an_unknown_one_is_refused() -> None:
    def part(bench: Bench) -> Iterator[Row]:
        yield Row("", [1.0], "")

    parts = {"start": part, "server": part, "idle": part}
    assert list(chosen("idle, start", parts)) == ["start", "idle"]
    assert list(chosen("", parts)) == list(parts)
    with pytest.raises(ConfigurationError, match="did you mean 'idle'"):
        chosen("idel", parts)


def test_the_machine_is_described() -> None:
    first, second = machine().splitlines()
    assert "cores" in first and "load average" in first
    assert "apache-airflow 3.3.2" in second and "missing" not in second
