"""The style sheet and the script of the pages."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from perennial.console.app import PREFIX
from perennial.console.navigation import base_path

FOLDER = Path(__file__).with_name("static")
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class File(StrEnum):
    """The files that are served; every other name is refused."""

    STYLE = "console.css"
    MONITORING = "monitoring.css"
    SCRIPT = "console.js"


router = APIRouter()


@router.get("/-/static/{file}")
def static(file: File) -> Response:
    path = FOLDER / file
    headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(path.read_bytes(), media_type=TYPES[path.suffix], headers=headers)


@cache
def address(file: str) -> str:
    """The address of a file. It changes with the content, so that browsers can keep the file."""
    digest = hashlib.sha256((FOLDER / File(file)).read_bytes()).hexdigest()
    return f"{base_path()}{PREFIX}/-/static/{file}?{digest[:12]}"
