"""The monitor, asked on behalf of the dashboard: so both have one address, and API keys are checked in one place."""

from __future__ import annotations

import httpx

from handful_serving.domain.ports import MonitorAnswer

_SECONDS = 15


class Monitor:
    """Where `handful monitor watch` listens.

    Args:
        uri: its address.
        transport: another transport than the network, for tests.
    """

    def __init__(self, uri: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=uri.rstrip("/"), timeout=_SECONDS, transport=transport, trust_env=False, follow_redirects=False
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

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
