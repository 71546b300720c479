"""Which scope each address of the API needs, in one table; an address that is not in it needs admin."""

from __future__ import annotations

from typing import Literal, NamedTuple

from data.api_keys import Scope

Access = Scope | Literal["open"]
"""A scope, or open: anybody may come, since it holds no data or checks for itself who is there."""


class Rule(NamedTuple):
    """One row: a method (``*`` for any), an address, and what it needs.

    The address stands for itself and all that is below it; a part ``{}`` is any one. An open one stands
    for itself alone, unless its last part is ``{}``.
    """

    method: str
    path: str
    access: Access


# The first that fits counts. What cannot be taken back, and what lets data out, needs admin.
RULES: tuple[Rule, ...] = (
    # Whoever watches over the process has no key; the page asks for one, and holds no data itself.
    Rule("GET", "/healthz", "open"),
    Rule("GET", "/readyz", "open"),
    Rule("GET", "/", "open"),
    Rule("GET", "/assets/{}", "open"),
    Rule("*", "/v1/session", "open"),
    # Who sends these has no key, and signs them instead: the connectors check the signature.
    Rule("POST", "/v1/webhooks/{}", "open"),
    Rule("GET", "/v1/webhooks/{}", "open"),  # tools ask first whether there is anybody
    Rule("POST", "/v1/tag", "tag"),
    Rule("POST", "/v1/models/{}/tag", "tag"),
    Rule("DELETE", "/v1/responses", "admin"),
    Rule("GET", "/v1/responses", "read"),
    Rule("*", "/v1/responses", "write"),
    Rule("*", "/v1/respondents", "admin"),
    Rule("GET", "/v1/annotations", "read"),
    Rule("*", "/v1/annotations", "write"),
    Rule("GET", "/v1/jobs", "read"),
    Rule("*", "/v1/jobs", "write"),
    Rule("GET", "/v1/follow-ups", "read"),
    Rule("*", "/v1/follow-ups", "write"),
    Rule("GET", "/v1/follow-up-report", "read"),
    Rule("GET", "/v1/root-causes", "read"),
    Rule("GET", "/v1/nps", "read"),
    Rule("GET", "/v1/trends", "read"),
    Rule("GET", "/v1/hotspots", "read"),
    Rule("GET", "/v1/findings", "read"),
    Rule("GET", "/v1/segments", "read"),
    Rule("GET", "/v1/taxonomy", "read"),
    Rule("*", "/v1/taxonomy", "admin"),
    Rule("GET", "/v1/models", "read"),
    Rule("*", "/v1/models", "admin"),
    Rule("*", "/v1/keys", "admin"),
    Rule("*", "/v1/webhook-subscriptions", "admin"),
    Rule("*", "/v1/webhook-deliveries", "admin"),
    Rule("GET", "/openapi.json", "read"),
    Rule("GET", "/metrics", "read"),
)


def find_rule(method: str, path: str) -> Rule | None:
    """Give the row for an address, or None; HEAD is GET."""
    method = "GET" if method == "HEAD" else method
    for rule in RULES:
        if rule.method in (method, "*") and _fits(rule, path):
            return rule
    return None


def access_of(method: str, path: str) -> Access:
    """Give what an address needs."""
    rule = find_rule(method, path)
    return "admin" if rule is None else rule.access


_PARTS = {rule.path: tuple(rule.path.split("/")) for rule in RULES}


def _fits(rule: Rule, path: str) -> bool:
    wanted, given = _PARTS[rule.path], path.split("/")
    if len(given) < len(wanted) or (rule.access == "open" and len(given) > len(wanted)):
        return False
    return all(part in ("{}", one) for part, one in zip(wanted, given, strict=False))
