"""LitServe around the same ONNX session. `python -m benchmarks.contenders.lit PORT PACKAGE THREADS`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import litserve

from handful_core.package import open_package
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_image
from handful_core.vision.prediction import to_dict


class Api(litserve.LitAPI):
    """Decodes, predicts, describes: with the very code that serving has."""

    def setup(self, device: str) -> None:
        """Load the package."""
        with open_package(Path(sys.argv[2])) as package:
            self.model = load_model(package, int(sys.argv[3]))

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe would take an annotation at its word.
        """The file's bytes: a form arrives with its files open."""
        data: bytes = request["image"].file.read()
        return data

    def predict(self, data: bytes) -> Any:
        """The model's answer."""
        return self.model.predict(decode_image(data))

    def encode_response(self, answer: Any) -> dict[str, Any]:
        """The answer as JSON."""
        return to_dict(answer, self.model.manifest)


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", timeout=60)
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
