"""The workspace page: the files of `serving.web`, and no others, under ``/`` and ``/assets/``."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

_ASSETS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FILES = {path.name: path for path in (Path(__file__).parent / "web").iterdir() if path.suffix in _ASSETS}

router = APIRouter(include_in_schema=False)


@router.get("/")
def get_page() -> FileResponse:
    """Give the page."""
    return _file("index.html")


@router.get("/assets/{name}")
def get_asset(name: str) -> FileResponse:
    """Give a file of the page; an unknown name is 404, whatever it looks like."""
    return _file(name)


def _file(name: str) -> FileResponse:
    if name not in _FILES:
        raise HTTPException(404)
    path = _FILES[name]
    return FileResponse(path, media_type=_ASSETS[path.suffix], headers={"Cache-Control": "no-cache"})
