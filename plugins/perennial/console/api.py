"""The page of all models as JSON."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from include.overview.all_models import overview
from include.overview.document import to_json
from include.overview.records import Filter
from include.partitions import utc_now
from perennial.console import rendering, runs
from perennial.console.access import ReaderDep
from perennial.console.models import Part

router = APIRouter()


@router.get("/api/models")
def models(reader: ReaderDep, name: Part = "", owner: Part = "", tag: Part = "") -> JSONResponse:
    now = utc_now()
    found = overview(lambda: runs.read(reader.dag_ids, now), now, Filter(name, owner, tag), reader.models)
    return JSONResponse(to_json(found), headers=rendering.HEADERS)
