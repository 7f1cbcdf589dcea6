"""WebSockets that end: uvicorn waits for ever for a client to take what was sent to it before the connection closes."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

END_SECONDS = 10.0


class BoundedLive(WebSocketsSansIOProtocol):
    """A connection that is broken off `END_SECONDS` after nobody answers it any more."""

    seconds = END_SECONDS

    async def run_asgi(self) -> None:
        """Serve it, then give the client a while to take the rest."""
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(self.seconds, self.transport.abort)
