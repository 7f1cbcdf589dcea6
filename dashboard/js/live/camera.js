/** The visitor's camera, and single frames of it as JPEG. */

import { shrunk } from "../logic/frames.js";

const LONGEST = 640;
const QUALITY = 0.8;

/** Why there is no camera: `kind` is a DOMException's name, or "insecure". */
export class CameraError extends Error {
  constructor(kind, cause) {
    super(cause?.message ?? kind, { cause });
    this.name = "CameraError";
    this.kind = kind;
  }
}

/** Shows the camera in this <video>, and returns its stream. Throws a CameraError. */
export async function openCamera(video) {
  if (!navigator.mediaDevices) throw new CameraError("insecure");
  const wish = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "environment" }, audio: false };
  const stream = await navigator.mediaDevices.getUserMedia(wish).catch((error) => {
    throw new CameraError(error.name, error);
  });
  video.srcObject = stream;
  await video.play();
  return stream;
}

/** Makes JPEGs of a video: `grab()` gives the present frame as an ArrayBuffer. */
export function createGrabber(video) {
  const canvas = document.createElement("canvas");
  const brush = canvas.getContext("2d", { alpha: false });

  return async function grab() {
    const { width, height } = shrunk({ width: video.videoWidth, height: video.videoHeight }, LONGEST);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    brush.drawImage(video, 0, 0, width, height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return blob.arrayBuffer();
  };
}
