"""The scopes of `serving.access` as the OpenAPI document tells them."""

from __future__ import annotations

from typing import Any

from serving.access import access_of
from serving.guard import COOKIE
from serving.problems import declared

SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `wsk_<id>_<secret>`. Needed once there is a key.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A browser's session, from `beginSession`; it holds the key's scopes but admin.",
    },
}


def declare_access(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document what each operation needs, and how it is refused."""
    document["components"]["securitySchemes"] = SCHEMES
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scope = access_of(method.upper(), path)
            if scope == "open":
                operation["security"] = []
                continue
            schemes = [name for name in SCHEMES if scope != "admin" or name != "session"]
            operation["security"] = [{name: [scope]} for name in schemes]
            words = operation.get("description", "")
            operation["description"] = f"{words}\n\nNeeds the scope `{scope}`.".strip()
            refusals = {
                str(status): words for status, words in declared(401, 403, 429).items() if status != 500
            }
            operation["responses"] = refusals | operation["responses"]
