"""A running server, asked from Python."""

from __future__ import annotations

from typing import Any

from handful.answers import Answer, ServedModel, parse
from handful_core.client import ServingClient
from handful_core.closing import Closing
from handful_core.settings import CoreSettings, load
from handful_core.vision.image_input import ChannelOrder, ImageInput, to_file


class Client(Closing):
    """A running server. Safe to use from several threads at once.

        with handful.Client("http://127.0.0.1:8000") as client:
            print(client.predict("photo.jpg").count)

    Args:
        url: the server's address; without one, HANDFUL_SERVER or the server that runs on this machine.
        key: an API key, where the server asks for one; without one, HANDFUL_API_KEY.
        timeout: seconds to wait for one answer.

    Every method raises a `HandfulError`: `UnavailableError` if the server does not answer, `DataError` if the image
    cannot be used, `NotFoundError` if the server has no such model, `ConfigError` if it asks for a key.
    """

    def __init__(self, url: str | None = None, *, key: str | None = None, timeout: float = 30) -> None:
        settings = load(CoreSettings)
        known = settings.api_key.get_secret_value() if settings.api_key else None
        self._server = ServingClient(url or settings.server, timeout, key or known)

    def __repr__(self) -> str:
        return f"handful.Client({self.url!r})"

    @property
    def url(self) -> str:
        """The server's address."""
        return self._server.address

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def predict(
        self,
        image: ImageInput,
        *,
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        explain: bool = False,
        return_image: bool = False,
        annotate: bool = False,
        channel_order: ChannelOrder = "rgb",
    ) -> Answer:
        """Ask for one image.

        Args:
            image: a path, a file's bytes, a uint8 array of (height, width, 3), or a PIL image.
            model: a registered model; the server's default if not given.
            version: one of its versions; not together with `alias`.
            alias: one of its aliases; `champion` if neither this nor `version` is given.
            confidence: lowest score that counts, or below which a classifier is uncertain; the model's own if None.
            iou: overlap above which two boxes are one object; the model's own if None.
            top: how many of a classifier's classes `Answer.top` names.
            explain: say where a classifier sees its class.
            return_image: send the picture back, with its faces blurred.
            annotate: draw what was found into the picture that is sent back.
            channel_order: of an array's colours: `bgr` for those of OpenCV.
        """
        name, content = to_file(image, channel_order)
        options = {"model": model, "version": version, "alias": alias, "confidence": confidence, "iou": iou, "top": top}
        flags = {"explain": explain, "return_image": return_image or annotate, "annotate": annotate}
        given: dict[str, Any] = options | {flag: "true" for flag, wanted in flags.items() if wanted}
        return parse(Answer, self._server.predict_content(content, name, **given), self.url)

    def models(self) -> list[ServedModel]:
        """The models that can be asked for."""
        found = self._server.models().get("models", [])
        return [parse(ServedModel, each, self.url) for each in found]

    def ready(self) -> bool:
        """Whether the server can answer predictions now."""
        return self._server.readiness() == "ready"
