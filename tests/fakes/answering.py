"""`python -m fakes.answering VARIABLE`: a server that answers every GET with 200, on the port that VARIABLE holds."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")


if __name__ == "__main__":
    print("listening", flush=True)
    HTTPServer(("127.0.0.1", int(os.environ[sys.argv[1]])), _Answering).serve_forever()
