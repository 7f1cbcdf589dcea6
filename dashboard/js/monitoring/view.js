/** Monitoring: whether what models are asked and answer has changed. It shows, and changes nothing. */

import { allowPrompt } from "../api_key.js";
import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { moment } from "../logic/format.js";
import { streamsOf } from "../logic/drift.js";
import { html, showMessage } from "../view/dom.js";
import { replaceKeepingFocus } from "../view/focus.js";
import { featuresCard } from "./features.js";
import { noticeCard, noticeName } from "./notice.js";
import { streamsCard } from "./streams.js";
import { DEFAULT_HOURS, trafficCard } from "./traffic.js";
import { verdictCard } from "./verdict.js";

const EVERY = 20_000;
const text = messages.monitoring;

export function createView(root, app) {
  const says = html("p", { class: "says", role: "status", "data-part": "monitoring-says" }, text.loading);
  const body = html("div", { class: "cards monitoring", "data-part": "monitoring-body" });
  const when = html("p", { class: "remark", "data-part": "monitoring-when" });
  root.replaceChildren(html("h1", { class: "title", tabindex: -1 }, text.title), html("p", { class: "lead" }, text.lead), says, body, when);
  let timer = null;
  let controller = null;
  /** The stream that somebody picked; null for whichever needs eyes first. */
  let picked = null;
  let hours = DEFAULT_HOURS;

  async function refresh() {
    hide();
    const { signal } = (controller = new AbortController());
    try {
      await load(signal);
      showMessage(says, "");
    } catch (error) {
      if (error.name === "AbortError") return;
      failed(rethrowUnknown(error));
    }
    if (!signal.aborted) timer = setTimeout(refresh, EVERY);
  }

  async function load(signal) {
    const told = await app.api.verdicts(signal);
    const streams = streamsOf(told);
    const stream = streams.find(({ key }) => key === picked) ?? streams[0] ?? null;
    // Beside each other: the second answer need not wait for the first.
    const [history, traffic] = stream
      ? await Promise.all([stream.verdict ? app.api.verdictHistory(stream, signal) : { history: [] }, app.api.traffic(stream.model, hours, signal)])
      : [];
    const notice = noticeCard(noticeName(told), told);
    fill(stream ? [notice, streamsCard(streams, stream, pick), ...cards(stream, history.history, traffic)] : [notice]);
    when.textContent = told.last_round ? text.updated(moment(told.last_round)) : "";
  }

  function cards(stream, history, traffic) {
    return [verdictCard(stream, history), featuresCard(stream), trafficCard(traffic, hours, setHours)];
  }

  /** Without a monitor there is a card that says how to start one; what was known stays where the server is away. */
  function failed(error) {
    if (error instanceof Problem && error.kind === "no-monitor") {
      showMessage(says, "");
      fill([noticeCard("absent")]);
      when.textContent = "";
    } else {
      showMessage(says, error instanceof Problem ? error.message : messages.unreachableTitle, true);
    }
  }

  function pick(key) {
    picked = key;
    refresh();
  }

  function setHours(chosen) {
    hours = chosen;
    refresh();
  }

  /** Keeps a card that did not change: somebody may be reading or selecting in it. */
  function fill(fresh) {
    const there = fresh.filter(Boolean);
    while (body.childElementCount > there.length) body.lastChild.remove();
    while (body.childElementCount < there.length) body.append(html("div"));
    for (const [place, one] of there.entries()) {
      const slot = body.children[place];
      if (!isSame(slot.firstChild, one)) replaceKeepingFocus(slot, [one]);
    }
  }

  /** Stops polling and cancels the request under way: one at a time, and none while this view is hidden. */
  function hide() {
    clearTimeout(timer);
    controller?.abort();
  }

  return {
    show() {
      allowPrompt();
      return refresh();
    },
    hide,
    render() {},
  };
}

/** As it would be if nothing in it were opened. */
function isSame(shown, fresh) {
  if (!shown) return false;
  const closed = shown.cloneNode(true);
  for (const details of closed.querySelectorAll("details[open]")) details.open = false;
  return closed.isEqualNode(fresh);
}
