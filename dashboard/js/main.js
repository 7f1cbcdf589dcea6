/** Puts the page together. */

import * as api from "./api.js";
import { createApp } from "./app.js";
import { INITIAL } from "./app/state.js";
import { createStore } from "./store.js";
import { createCompare } from "./view/compare.js";
import { createFindings } from "./view/findings.js";
import { createHistory } from "./view/history.js";
import { createIntake } from "./view/intake.js";
import { createLanguage, translatePage } from "./view/language.js";
import { createPicker } from "./view/picker.js";
import { createRaw } from "./view/raw.js";
import { createSamples } from "./view/samples.js";
import { createStage } from "./view/stage.js";
import { createStatus } from "./view/status.js";
import { createTakeaway } from "./view/takeaway.js";
import { createThreshold } from "./view/threshold.js";
import { createTimings } from "./view/timings.js";
import { createVerdict } from "./view/verdict.js";
import { createViews } from "./view/views.js";

translatePage();
createLanguage();

const store = createStore(INITIAL);
const app = createApp(store, api);
const views = [
  createStatus,
  createPicker,
  createStage,
  createVerdict,
  createThreshold,
  createFindings,
  createTimings,
  createRaw,
  createTakeaway,
  createHistory,
  createCompare,
  createViews,
].map((create) => create(app));

createIntake(app);
createSamples(app);
store.subscribe((state) => views.forEach((render) => render(state)));
