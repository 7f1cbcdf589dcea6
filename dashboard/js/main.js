/** Puts the page together. */

import * as api from "./api.js";
import { createApp } from "./app.js";
import { createStore, INITIAL } from "./app/state.js";
import { createCaptureSign } from "./view/capture.js";
import { createCompare } from "./view/compare.js";
import { createExport } from "./view/export.js";
import { createHistory } from "./view/history.js";
import { createLanguage, translatePage } from "./view/language.js";
import { createMapSlider } from "./view/map_slider.js";
import { createPicker } from "./view/picker.js";
import { createResults } from "./view/results.js";
import { createStage } from "./view/stage.js";
import { createStatus } from "./view/status.js";
import { createSummary } from "./view/summary.js";
import { createThreshold } from "./view/threshold.js";
import { createTimings } from "./view/timings.js";
import { createUpload } from "./view/upload.js";
import { createViews } from "./view/views.js";

translatePage();
createLanguage();

const store = createStore(INITIAL);
const app = createApp(store, api);
const views = [
  createStatus,
  createCaptureSign,
  createPicker,
  createStage,
  createSummary,
  createThreshold,
  createMapSlider,
  createResults,
  createTimings,
  createExport,
  createHistory,
  createCompare,
  createViews,
].map((create) => create(app));

createUpload(app);
store.subscribe((state) => views.forEach((render) => render(state)));
