"""How long our HTTP clients keep a connection that nobody uses."""

import httpx

SHORT_LIVED = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=1)
"""For every client of ours: a second, and less than any server we talk to.

Uvicorn closes an idle connection after 5 seconds, Gunicorn after 2, and httpx keeps one for 5. A request that is sent
while the server closes gets no answer, and a server that runs counts as one that is away.
"""
