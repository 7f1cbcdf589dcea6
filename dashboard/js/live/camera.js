/** The visitor's camera, and single frames of it as JPEG. */

import { downscaledSize } from "../logic/frames.js";

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

/** The camera as a stream. Throws a CameraError. */
export async function openCamera() {
  if (!navigator.mediaDevices) throw new CameraError("insecure");
  const wish = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "environment" }, audio: false };
  return navigator.mediaDevices.getUserMedia(wish).catch(fail);
}

/** Shows the stream in this <video>. Throws a CameraError, also where another stream or none takes its place meanwhile. */
export function playCamera(video, stream) {
  video.srcObject = stream;
  return video.play().catch(fail);
}

/** Turns the camera off. */
export function closeCamera(stream) {
  for (const track of stream.getTracks()) track.stop();
}

function fail(error) {
  throw new CameraError(error.name, error);
}

/** Makes JPEGs of a video: `grab()` gives the present frame as an ArrayBuffer. */
export function createFrameEncoder(video) {
  const canvas = document.createElement("canvas");
  const brush = canvas.getContext("2d", { alpha: false });

  return async function grab() {
    const { width, height } = downscaledSize({ width: video.videoWidth, height: video.videoHeight }, LONGEST);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    brush.drawImage(video, 0, 0, width, height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return blob.arrayBuffer();
  };
}

/** A function that waits for the camera's next frame and gives how many there were so far: the browser's own count if it has one. */
export function frameCounter(video) {
  let calls = 0;
  if (!video.requestVideoFrameCallback) return () => new Promise((done) => requestAnimationFrame(() => done((calls += 1))));
  return () => new Promise((done) => video.requestVideoFrameCallback((_, { presentedFrames }) => done(presentedFrames)));
}
