"""`HANDFUL_SERVING_*`: the settings of serving."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from handful_faces import MARGIN, SIZE, STRENGTH
from handful_faces.privacy import Detector

CommaSeparated = Annotated[tuple[str, ...], NoDecode]
InferenceBackend = Literal["auto", "onnxruntime", "openvino"]
CaptureMode = Literal["off", "unsure", "share", "all-of-source"]
InferencePrecision = Literal["auto", "fp32"]
Fraction = Annotated[float, Field(ge=0, le=1)]
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
"""As browsers send it. An origin with a path would never match, and nothing would say why."""


class ServingSettings(BaseSettings):
    """The settings of serving. MLflow's address and the home folder are in `CoreSettings`."""

    model_config = SettingsConfigDict(
        env_prefix="HANDFUL_SERVING_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""
    published_at: str | None = None
    """Address under which others reach the server, if it is not `host`: a container's published port."""

    default_model: str = "fingers"
    """The model of a request that names none, if it has a champion."""
    models: CommaSeparated = ()
    """Names of the models to serve, with commas between. If empty, every registered model."""
    poll_seconds: float = Field(default=2, gt=0)
    """How often the registry is polled for its aliases."""
    registry_timeout: float = Field(default=5, gt=0)
    """Seconds to wait for one answer of MLflow."""
    cache_dir: Path | None = None
    """Folder of the packages that were fetched. If not given, cache/models in the home folder."""
    cache_versions: int = Field(default=10, ge=1)
    """Versions of a model that stay in the cache."""
    max_loaded: int = Field(default=4, ge=1)
    """Models in memory at once. The default model's champion stays. Of the others, the least recently used goes."""
    model_memory_mb: int | None = Field(default=None, ge=1)
    """Megabytes that models may take in memory together. If not given, half of what this process may use."""
    canary_share: Fraction = 0
    """Share of the requests without a version or alias that go to the alias `challenger`."""
    shadow_share: Fraction = 0
    """Share of those requests that the challenger gets, too. Its answer is compared and never returned."""

    threads: int | None = Field(default=None, ge=1)
    """Processors for inference. If not given, all that this process may use."""
    inference_backend: InferenceBackend = "auto"
    """What runs models: `onnxruntime`, `openvino`, or `auto`, the faster one if OpenVINO is installed."""
    inference_precision: InferencePrecision = "auto"
    """`auto`: the fastest of the precisions that a model's package allows. `fp32`: none below the package's own."""
    probe_seconds: float = Field(default=60, gt=0)
    """How long a new model may take, in a process of its own, to be opened and answer its golden image."""
    run_seconds: float = Field(default=30, gt=0)
    """How long one run of a model may take. It is ended then, and its request gets 503."""
    queue_size: int = Field(default=32, ge=0)
    """Images that may wait for a processor. More are answered with 503."""
    deadline_seconds: float = Field(default=10, gt=0)
    """How long an image may take with its wait. One that would take longer is answered with 503 at once."""
    max_body_bytes: int = Field(default=20_000_000, ge=1)
    """Bytes of a request's body."""
    max_pending_bytes: int = Field(default=400_000_000, ge=1)
    """Bytes of all bodies that are being read or wait. More are answered with 503."""
    body_seconds: float = Field(default=30, gt=0)
    """How long a client may take to send a body."""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """Pixels of an image."""
    max_batch: int = Field(default=32, ge=1)
    """Images of a batch."""

    face_blur: Detector = Field(
        default="centerface", validation_alias=AliasChoices("HANDFUL_SERVING_FACE_BLUR", "FACE_BLUR")
    )
    """What finds the faces that are blurred: `off`, `haar`, `yunet` or `centerface`."""
    face_blur_strength: int = Field(default=STRENGTH, ge=1, le=10)
    """1 leaves a face 11 by 11 averaged cells, 10 leaves it 2 by 2."""
    face_blur_margin: float = Field(default=MARGIN, ge=0, le=1)
    """What is blurred around a face, as a share of its size at each side."""
    face_size: int = Field(default=SIZE, ge=64, le=2048)
    """The longer side, in pixels, of the image in which faces are looked for: more finds smaller faces, and costs."""
    yunet_model: Path | None = None
    """The file face_detection_yunet_2023mar.onnx, for `yunet`: it is not part of Handful."""

    auth: Literal["auto", "on", "off"] = "auto"
    """Whether API keys are required. `auto`: unless only this machine can reach the server."""
    keys_file: Path | None = None
    """File of the hashed API keys, which `handful keys` writes. If not given, keys.json in the home folder."""
    metrics_key_file: Path | None = None
    """File that holds one more key, in plain text, with which /metrics can be read and nothing else."""
    rate_per_minute: int | None = Field(default=None, ge=1)
    """Images a minute for each key that has no rate of its own. Without keys, for all callers together. If not given,
    no limit."""
    cors_origins: CommaSeparated = ()
    """Origins of pages elsewhere that may call the API, with commas between, such as https://vision.example.com."""

    live_connections: int = Field(default=16, ge=0)
    """Live connections at once."""
    live_fps: float = Field(default=15, gt=0)
    """Frames a second that a live connection gets answered at most."""
    live_frame_bytes: int = Field(default=2_000_000, ge=1)
    """Bytes of a live frame."""
    live_max_pixels: int = Field(default=2_100_000, ge=1)
    """Pixels of a live frame."""
    live_idle_seconds: float = Field(default=60, gt=0)
    """A live connection that sends nothing for this long is closed."""

    prediction_log: bool = True
    """Whether a sample of requests and answers is logged for monitoring: numbers, never a picture."""
    prediction_log_rows: int = Field(default=30, ge=1, le=10_000)
    """Rows of the log a minute. More answers are sampled."""
    prediction_log_megabytes: int = Field(default=100, ge=1)
    """Megabytes of rows that wait on this machine for MLflow. The oldest go when there are more."""
    prediction_log_days: int = Field(default=30, ge=0)
    """Days that rows stay in MLflow. 0 for ever."""
    prediction_log_segment_seconds: float = Field(default=300, gt=0)
    """How often rows are brought to MLflow."""

    capture: CaptureMode = Field(default="off", validation_alias=AliasChoices("HANDFUL_SERVING_CAPTURE", "CAPTURE"))
    """Which pictures are kept for review, after the face blur. `off`: none. `unsure`: what the model is unsure of or a
    challenger answers differently, and a share of the rest. `share`: that share alone. `all-of-source`: all from
    `capture_sources`."""
    capture_share: Fraction = 0.01
    """Share of all pictures that is kept at random, with `unsure` and `share`."""
    capture_threshold: Fraction = 0.5
    """How unsure the model has to be of a picture that `unsure` keeps."""
    capture_sources: CommaSeparated = ()
    """Only pictures from these sources are kept, with commas between. If empty, from all."""
    capture_daily: int = Field(default=100, ge=1, le=100_000)
    """Pictures of a model that this server keeps a day."""
    capture_megabytes: int = Field(default=200, ge=1)
    """Megabytes of pictures that wait on this machine for MLflow. Beyond that, none are kept."""
    capture_days: int = Field(default=30, ge=0)
    """Days that a picture waits for a review before it is deleted. 0 for ever. Reviewed pictures stay."""
    capture_unblurred: bool = False
    """Whether pictures may be kept while `face_blur` is off."""

    dashboard_dir: Path | None = None
    """Folder of the dashboard, which is then served at /. `handful serve` finds it in a working copy."""
    monitor: str = "http://127.0.0.1:8002"
    """Address of the monitor, which the dashboard asks through this server. It is optional."""
    mlflow_page: str | None = None
    """Where browsers find MLflow's pages, for the dashboard's links. If not given, MLflow's address."""
    drain_seconds: float = Field(default=0, ge=0)
    """How long the server still answers after SIGTERM, closing each connection, before it ends."""
    shutdown_seconds: int = Field(default=30, ge=1)
    """How long requests that were accepted may take to finish when the server ends."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    log_json: bool | None = None
    """One JSON object a line. If not given, whenever stderr is no terminal."""

    @field_validator("models", "cors_origins", "capture_sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: CommaSeparated) -> CommaSeparated:
        if all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
            return origins
        raise ValueError("an origin is written like https://vision.example.com, without a path")

    @field_validator(
        "log_level", "face_blur", "auth", "capture", "inference_backend", "inference_precision", mode="before"
    )
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def keys_required(self) -> bool:
        """Whether requests need an API key."""
        return self.auth == "on" or (self.auth == "auto" and not _is_loopback(self.published_at or self.host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
