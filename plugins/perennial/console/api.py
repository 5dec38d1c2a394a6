"""The pages of all models and of one model as JSON."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from include.overview.all_models import model_overview, overview
from include.overview.document import Watched, to_json
from include.overview.incidents import incidents
from include.overview.records import Filter
from include.partitions import utc_now
from perennial.console import rendering, runs
from perennial.console.access import ReaderDep
from perennial.console.models import Day, Feature, Name, Part, dags, watched

router = APIRouter()


@router.get("/api/models")
def models(reader: ReaderDep, name: Part = "", owner: Part = "", tag: Part = "") -> JSONResponse:
    now = utc_now()
    found = overview(lambda: runs.read(reader.dag_ids, now), now, Filter(name, owner, tag), reader.models)
    return JSONResponse(to_json(found), headers=rendering.HEADERS)


@router.get("/api/models/{model}")
def one(reader: ReaderDep, model: Name, feature: Feature = "", day: Day = None) -> JSONResponse:
    reader.require(model)
    now = utc_now()
    row = model_overview(model, runs.read(dags(reader, model), now), now)
    if row is None:
        raise HTTPException(404, f"{model} has neither a folder nor a version: it was removed.")
    found = Watched(row, incidents(model), watched(model, feature, day))
    return JSONResponse(to_json(found), headers=rendering.HEADERS)
