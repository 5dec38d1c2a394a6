"""`include/models/README.md` works as written: each command is run, each snippet is put in its place and used.

`tests/end_to_end/test_models_readme_tour.py` runs the blocks that need a running stack. A block that neither file runs
is a failure.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from deltalake import DeltaTable
from sqlalchemy import create_engine

from include.extras import EXTRAS
from tests.docs.readme import BLOCKS, ROOT, TOUR, Block, UsersFolder, needs_stack, resembles
from tests.end_to_end import test_models_readme_tour
from tests.services import services

pytestmark = pytest.mark.slow

HOW_TOS = list(dict.fromkeys(b.heading for b in BLOCKS if b.section == "How-tos" != b.heading))
TRY = next(b for b in BLOCKS if b.heading == "How-tos")
TRIED = Path("var") / "try"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> UsersFolder:
    """The project of a user who has done the tour, except the parts that need a stack."""
    made = UsersFolder(tmp_path_factory.mktemp("reader"))
    do(made, TOUR)
    return made


@pytest.fixture
def toured(folder: UsersFolder) -> Iterator[UsersFolder]:
    """The same project for one test; its changes are reverted afterwards.

    `parcels` is its only model: the tour has linted the others.
    """
    with folder.restored("include/models", "tests/models"):
        for other in (folder.project / "include/models").glob("*/model.py"):
            if other.parent.name != "parcels":
                shutil.rmtree(other.parent)
        yield folder
    shutil.rmtree(folder.project / TRIED, ignore_errors=True)


def do(folder: UsersFolder, wanted: list[Block], model: str = "parcels") -> str:
    """Do what the blocks say, check the output that they show, and return all that the commands printed."""
    printed, last = "", ""
    for block in wanted:
        if block.kind == "python":
            folder.put(block, model)
        elif block.kind == "sh":
            last = "" if needs_stack(block) else folder.sh(block.text)
            printed += last
        elif last:
            assert resembles(block.text, last), f"{block}\nis not what was printed:\n{last}"
    return printed


def test_every_block_is_run_by_a_test() -> None:
    known = {"sh", "python", "text"}
    assert [b for b in BLOCKS if b.kind not in known] == []
    assert [b for b in BLOCKS if b not in TOUR and b.heading not in (*HOW_TOS, TRY.heading)] == []
    assert [b for b in BLOCKS if needs_stack(b) and b not in test_models_readme_tour.DONE] == []
    assert set(HOW_TOS) == set(CHECKS), "each how-to has its own check"


def test_the_tour_ends_with_a_model_that_has_the_new_feature(folder: UsersFolder) -> None:
    assert '"region"' in (folder.project / "include/models/parcels/features.py").read_text()


# -- how-tos: what each needs before it, and what must be true after it


@contextmanager
def a_warehouse(folder: UsersFolder) -> Iterator[None]:
    """A PostgreSQL with the table ``parcels``; an environment variable names it, as outside of Airflow."""
    with services(mlflow=False) as running:
        url = running.new_database("warehouse")
        parcels(folder).to_sql("parcels", create_engine(url), index=False)
        folder.variables["AIRFLOW_CONN_WAREHOUSE"] = url.replace("postgresql+psycopg2", "postgres")
        try:
            yield
        finally:
            del folder.variables["AIRFLOW_CONN_WAREHOUSE"]


@contextmanager
def a_file_a_day(folder: UsersFolder) -> Iterator[None]:
    deliveries = folder.home / "deliveries"
    deliveries.mkdir()
    rows = parcels(folder)
    for day, of_day in rows.groupby(rows["sent_at"].dt.strftime("%Y-%m-%d")):
        of_day.to_parquet(deliveries / f"{day}.parquet")
    yield


@contextmanager
def an_api(folder: UsersFolder) -> Iterator[None]:
    """An HTTP server that answers ``/parcels?from=...&to=...`` with JSON, at the address that the text names."""
    rows = parcels(folder)

    class Parcels(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            first, last = (pd.Timestamp(query[name][0]) for name in ("from", "to"))
            found = rows[(rows["sent_at"] >= first) & (rows["sent_at"] < last)]
            body = found.to_json(orient="records", date_format="iso").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Parcels)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder.variables["AIRFLOW_CONN_PARCELS_API"] = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        del folder.variables["AIRFLOW_CONN_PARCELS_API"]
        server.shutdown()


def parcels(folder: UsersFolder) -> pd.DataFrame:
    """Return the table of the tour."""
    rows = pd.read_csv(folder.home / "parcels.csv", parse_dates=["sent_at"])
    return rows.astype({"late": "Int64"})


def collected(folder: UsersFolder) -> pd.DataFrame:
    """Return the rows in the lake of the last try."""
    return DeltaTable(str(folder.project / TRIED / "lake" / "parcels" / "rows")).to_pandas()


def same_rows_as_the_table(folder: UsersFolder, printed: str) -> None:
    """Whatever the source, the rows of a day are the rows of that day in the table."""
    got, table = collected(folder), parcels(folder)
    newest = table[table["sent_at"].dt.strftime("%Y-%m-%d").isin(set(got["partition"]))]
    assert len(got) > 0 and len(newest) - len(got) < 0.01 * len(newest), "a few may be in quarantine"
    both = got.merge(newest, on="parcel_id", validate="one_to_one", suffixes=("", "_table"))
    assert len(both) == len(got)
    assert (both["sent_at"] == both["sent_at_table"]).all()
    assert both["hours"].fillna(-1).eq(both["hours_table"].fillna(-1)).all()


def far_parcels_are_in_quarantine(folder: UsersFolder, printed: str) -> None:
    shown = folder.sh(".venv/bin/python show_quarantine.py parcels", PERENNIAL_HOME=str(folder.project / TRIED))
    assert "parcels go up to 2,000 km" in shown and "99999" in shown
    assert collected(folder)["distance_km"].max() <= 2000


def the_forest_competes_and_converts(folder: UsersFolder, printed: str) -> None:
    assert "| forest_20d" in printed
    of_forest = (
        "from pathlib import Path; from include import catalog; from include.backtest.lab import Lab;"
        f"lab = Lab(catalog.load('parcels'), Path({str(TRIED)!r}));"
        "night = lab.night(lab.newest(), candidates=['forest_20d'], window_days=9);"
        "print('difference', lab.release(night).proven.parity, night.challenger)"
    )
    assert "difference" in folder.sh(f'.venv/bin/python -c "{of_forest}"')


@contextmanager
def all_extras(folder: UsersFolder) -> Iterator[None]:
    """The optional packages, which the command of the text would install."""
    for extra in EXTRAS:
        pytest.importorskip(extra, reason=f"needs {extra}: make venv EXTRAS={extra}")
    yield


def all_boosters_compete(folder: UsersFolder, printed: str) -> None:
    """`tests/retraining/test_boosters_night.py` shows that each is served."""
    assert [name for name in EXTRAS if f"| {name} " not in printed] == []


def a_live_row_has_the_features(folder: UsersFolder, printed: str) -> None:
    live = (
        "from include import catalog; from include.scoring.columns import columns_for;"
        "model = catalog.load('parcels'); inputs = [(c.name, c.type.value) for c in model.data.inputs];"
        "rows = [{'sent_at': '2026-05-03T23:00:00Z', 'weight_kg': 2.0, 'distance_km': 50.0}];"
        "built = catalog.module('parcels', 'features').build(columns_for(inputs, rows));"
        "print({name: values.tolist() for name, values in built.items()})"
    )
    shown = folder.sh(f'.venv/bin/python -c "{live}"')
    assert "'kg_per_100km': [4.0]" in shown and "'day_of_month': [2.0]" in shown


def it_counts_in_euros(folder: UsersFolder, printed: str) -> None:
    assert re.search(r"^\| candidate .* selection euros .* holdout euros ", printed, re.MULTILINE), printed


def the_as_of_waits(folder: UsersFolder, printed: str) -> None:
    assert "delay=timedelta(hours=1)" in (folder.project / "include/models/parcels/model.py").read_text()


def it_has_no_nights(folder: UsersFolder, printed: str) -> None:
    assert "schedule=None" in (folder.project / "include/models/parcels/model.py").read_text()


def both_tasks_are_decided(folder: UsersFolder, printed: str) -> None:
    for model, metric in (("parcel_hours", "mae|rmse|r2"), ("parcel_arrival", "log_loss|accuracy")):
        decided = rf"^## {model}: (promote|hold|reject) about .*\n\n\| candidate .* selection ({metric}) "
        assert re.search(decided, printed, re.MULTILINE), printed


@contextmanager
def another_model(folder: UsersFolder) -> Iterator[None]:
    """A second model, which stays where it is."""
    models = Path("include/models")
    shutil.copytree(ROOT / models / "bike_demand", folder.project / models / "bike_demand")
    yield


def it_is_found_elsewhere(folder: UsersFolder, printed: str) -> None:
    assert "2 models, no mistake" in printed
    assert [path.parent.name for path in (folder.project / "include/models").glob("*/model.py")] == ["bike_demand"]


def nothing_to_check(folder: UsersFolder, printed: str) -> None:
    """Its only command needs the stack."""


def unprepared(folder: UsersFolder) -> AbstractContextManager[None]:
    return nullcontext()


Prepared = Callable[[UsersFolder], AbstractContextManager[None]]
CHECKS: dict[str, tuple[Prepared, Callable[[UsersFolder, str], None]]] = {
    "Add an expectation": (unprepared, far_parcels_are_in_quarantine),
    "Add a candidate": (unprepared, the_forest_competes_and_converts),
    "Use LightGBM, XGBoost or CatBoost": (all_extras, all_boosters_compete),
    "Add a feature": (unprepared, a_live_row_has_the_features),
    "Read from a database": (a_warehouse, same_rows_as_the_table),
    "Read a file a day": (a_file_a_day, same_rows_as_the_table),
    "Read from an API": (an_api, same_rows_as_the_table),
    "Wait for late labels": (unprepared, the_as_of_waits),
    "Retrain on demand": (unprepared, it_has_no_nights),
    "Predict a number, or one of several classes": (unprepared, both_tasks_are_decided),
    "Judge by a figure of your own": (unprepared, it_counts_in_euros),
    "Collect days again, or older ones": (unprepared, nothing_to_check),
    "Keep models elsewhere": (another_model, it_is_found_elsewhere),
}


TOGETHER = (
    "Add an expectation",
    "Add a candidate",
    "Add a feature",
    "Wait for late labels",
    "Retrain on demand",
    "Judge by a figure of your own",
)
"""How-tos that one reader can follow one after the other: one lint and one night show whether all of them work."""


@pytest.mark.parametrize(
    "how_tos",
    [
        pytest.param(TOGETHER, id="together"),
        *(pytest.param((name,), id=name) for name in HOW_TOS if name not in TOGETHER),
        *(pytest.param((name,), id=name, marks=pytest.mark.full) for name in TOGETHER),
    ],
)
def test_how_tos_work(toured: UsersFolder, how_tos: tuple[str, ...]) -> None:
    with ExitStack() as prepared:
        for name in how_tos:
            prepared.enter_context(CHECKS[name][0](toured))
        mine = [b for b in BLOCKS if b.heading in how_tos]
        printed = do(toured, mine)
        if any(b.kind == "python" for b in mine):
            printed += toured.sh(TRY.text)
            assert re.search(r"^## parcels: (promote|hold|reject) about", printed, re.MULTILINE), printed
        for name in how_tos:
            CHECKS[name][1](toured, printed)
