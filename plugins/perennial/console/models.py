"""The pages: all models, one model, its rows in quarantine, and two of its versions side by side."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from include import catalog
from include.errors import ConfigurationError, PerennialError
from include.overview import one_model, predictions
from include.overview import quarantine as quarantined
from include.overview.all_models import model_overview, overview, shown
from include.overview.incidents import incidents
from include.overview.monitoring import monitored
from include.overview.records import Filter, ModelHistory, ModelOverview, Monitored, Overview
from include.partitions import utc_now
from include.spec import Model
from include.spec.bounds import LARGEST_VERSION
from perennial.console import actions, calling, runs
from perennial.console.access import Reader, ReaderDep
from perennial.console.navigation import ROUTE, base_path
from perennial.console.rendering import page
from perennial.console.services import asking_mlflow

T = TypeVar("T")

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{1,49}$")]
Part = Annotated[str, Query(max_length=100)]
Version = Annotated[int, Query(ge=1, le=LARGEST_VERSION)]
Feature = Annotated[str, Query(max_length=200)]
Day = Annotated[str | None, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]

router = APIRouter()


@router.get("/")
@router.get("/-/")
def start() -> RedirectResponse:
    """The page of all models, inside Airflow's own page."""
    return RedirectResponse(f"{base_path()}/plugin/{ROUTE}")


@router.get("/-/models")
def all_models(reader: ReaderDep, name: Part = "", owner: Part = "", tag: Part = "") -> HTMLResponse:
    now, wanted = utc_now(), Filter(name.strip(), owner.strip(), tag.strip())
    with asking_mlflow() as problems:
        every = overview(lambda: runs.read(reader.dag_ids, now), now, names=reader.models)
    found = shown(every, wanted)
    return page(
        "models.html.j2",
        reader=reader,
        found=found,
        wanted=wanted,
        filtered=wanted != Filter(),
        choices=choices(every),
        problems=[*found.problems, *problems],
    )


@router.get("/{model}")  # short, for messages about incidents
@router.get("/-/models/{model}")
def one(
    reader: ReaderDep, model: Name, version: Version | None = None, feature: Feature = "", day: Day = None
) -> HTMLResponse:
    reader.require(model)
    now = utc_now()
    known = runs.read(dags(reader, model), now)
    with asking_mlflow() as problems:
        row = model_overview(model, known, now)
        if row is None:
            raise HTTPException(404, f"{model} has neither a folder nor a version: it was removed.")
        past = _or_problem(lambda: one_model.history(model, known, now), problems)
        about = version or _shown_version(row, past)
        line = _or_problem(lambda: one_model.lineage(model, about), problems) if about and past else None
        found = _or_problem(lambda: incidents(model), problems)
        predicted = _or_problem(lambda: predictions.recent(model, _today(row, now)), problems) or ()
    return page(
        "model.html.j2",
        reader=reader,
        now=now,
        row=row,
        past=past,
        line=line,
        lineage_of=about,
        predicted=predicted,
        incidents=found,
        watched=watched(model, feature, day),
        call=calling.example(row, past),
        act=actions.of(row, past, known, found or ()),
        problems=problems,
    )


@router.get("/-/models/{model}/quarantine")
def quarantine(
    reader: ReaderDep,
    model: Name,
    day: Day = None,
    expectation: Annotated[str, Query(max_length=2000)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    reader.require(model, "collect")
    found = quarantined.browse(model, day or None, expectation, number)
    return page("quarantine.html.j2", reader=reader, model=model, found=found)


@router.get("/-/models/{model}/compare")
def compare(reader: ReaderDep, model: Name, left: Version, right: Version) -> HTMLResponse:
    reader.require(model)
    found = one_model.compare(model, left, right)
    if found is None:
        raise HTTPException(404, f"{model} does not have both versions {left} and {right}.")
    changed = [one for one in found.packages if one.left != one.right]
    return page("compare.html.j2", reader=reader, model=model, found=found, changed=changed)


def watched(name: str, feature: str, day: str | None) -> Monitored:
    """What the monitor of a model has measured, also if its folder does not load."""
    try:
        declared: Model | None = catalog.load(name)
    except ConfigurationError:
        declared = None
    return monitored(name, declared, feature or None, day or None)


def choices(every: Overview) -> dict[str, list[str]]:
    """The owners and tags that the filter offers."""
    return {
        "owner": sorted({one.owner for one in every.models if one.owner}, key=str.casefold),
        "tag": sorted({tag for one in every.models for tag in one.tags}, key=str.casefold),
    }


def dags(reader: Reader, model: str) -> set[str]:
    """The DAGs of one model that the user can read, and that of the incidents of all models."""
    wanted = {f"{model}_{kind}" for kind in runs.KINDS} | {actions.INCIDENTS}
    return wanted & reader.dag_ids


def _shown_version(row: ModelOverview, past: ModelHistory | None) -> int | None:
    """The version whose lineage is shown unless another one is asked for: the champion, else the newest."""
    if row.serving is not None and row.serving.version is not None:
        return row.serving.version
    return past.versions[0].version if past is not None and past.versions else None


def _today(row: ModelOverview, now: datetime) -> date:
    return now.astimezone(ZoneInfo(row.timezone)).date()


def _or_problem(read: Callable[[], T], problems: list[str]) -> T | None:
    """What could be read; ``None``, and a sentence among the problems, if a service did not answer."""
    try:
        return read()
    except PerennialError as error:
        sentence = str(error)
        if sentence not in problems:
            problems.append(sentence)
        return None
