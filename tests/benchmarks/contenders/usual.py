"""The usual way: a FastAPI endpoint around Ultralytics. `python -m benchmarks.contenders.usual PORT WEIGHTS IMGSZ`."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from ultralytics import YOLO

model = YOLO(sys.argv[2])
app = FastAPI()


@app.get("/health/ready")
def ready() -> str:
    """It has started."""
    return "ready"


@app.post("/predict")
def predict(image: UploadFile) -> dict[str, Any]:
    """Find what is in an image."""
    pixels = cv2.imdecode(np.frombuffer(image.file.read(), np.uint8), cv2.IMREAD_COLOR)
    result = model.predict(pixels, imgsz=int(sys.argv[3]), verbose=False)[0]
    boxes = result.boxes
    return {"boxes": boxes.xyxy.tolist(), "scores": boxes.conf.tolist(), "classes": boxes.cls.tolist()}


if __name__ == "__main__":
    model.predict(np.zeros((480, 640, 3), np.uint8), imgsz=int(sys.argv[3]), verbose=False)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
