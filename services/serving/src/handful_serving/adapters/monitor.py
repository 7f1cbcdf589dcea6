"""The monitor, asked on behalf of the dashboard: so both have one address, and API keys are checked in one place."""

from __future__ import annotations

import httpx

from handful_core.connections import SHORT_LIVED
from handful_serving.domain.ports import MonitorAnswer, MonitorQuestion

_SECONDS = 15
_REVIEW_SECONDS = 60
"""Many pictures are many files of MLflow."""
_NAME = "monitor"
"""A plain name: the monitor answers no other, so that no web page reaches it under one of its own."""


class Monitor:
    """Where `handful monitor watch` listens.

    Args:
        uri: its address.
        transport: another transport than the network, for tests.
    """

    def __init__(self, uri: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=uri.rstrip("/"),
            timeout=_SECONDS,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            limits=SHORT_LIVED,
        )

    async def get(self, path: str, query: str) -> MonitorAnswer | None:
        """Its answer; None where nobody listens.

        Args:
            path: one of its own.
            query: as the client sent it.
        """
        try:
            answer = await self._http.get(f"/{path}", params=httpx.QueryParams(query))
        except httpx.TransportError:
            return None
        return MonitorAnswer(answer.status_code, answer.headers.get("content-type", ""), answer.content)

    async def ask(self, question: MonitorQuestion) -> MonitorAnswer | None:
        """The same for what may change something."""
        headers = {"host": _NAME, "x-handful-caller": question.caller, "content-type": "application/json"}
        if question.revision:
            headers["if-match"] = question.revision
        try:
            answer = await self._http.request(
                question.method,
                f"/{question.path}",
                params=httpx.QueryParams(question.query),
                headers=headers,
                content=question.content,
                timeout=_REVIEW_SECONDS,
            )
        except httpx.TransportError:
            return None
        kind, revision = answer.headers.get("content-type", ""), answer.headers.get("etag", "")
        return MonitorAnswer(answer.status_code, kind, answer.content, revision)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
