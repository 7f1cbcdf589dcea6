"""What a browser may do with our answers: run our own files, and nothing else."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRICT_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"
)
"""Swagger UI sets styles on elements; its script comes from here all the same."""
CSP_HEADER = "Content-Security-Policy"


_RULES = (
    (CSP_HEADER.lower().encode(), STRICT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""As they go over the wire: each answer has them."""


class SecurityHeaders:
    """Middleware that sets the security headers of every answer, but those that the answer sets by itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the rules."""

        async def with_rules(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                names = {name for name, _ in own}
                message["headers"] = [*own, *(rule for rule in _RULES if rule[0] not in names)]
            await send(message)

        await self._app(scope, receive, with_rules)
