// The page: reads the view from the address, asks the API, and hands each part of the page its figures.

import { Problem, forget, get, getOnce } from "./api.js";
import { addTrends, markChosen, showCauses } from "./causes.js";
import { showDetail, showOwnFindings } from "./detail.js";
import { $, h, put } from "./dom.js";
import { showFilters } from "./filters.js";
import { showFindings } from "./findings.js";
import { SCALES, many } from "./format.js";
import { showMetric } from "./metric.js";
import { seriesBy } from "./series.js";
import { connectKey } from "./session.js";
import { connectUpload } from "./upload.js";
import { changeView, filterOf, isFiltered, readView, sameFilter } from "./view.js";

const NO_FINDINGS = { changes: [], hotspots: [], doubtful: [], notes: [] };

let context = null; // what is shown: ranking, segments, findings, and the view that they are of
let reading = null; // aborts the reading under way when another begins
let asked = null; // the view that was read last, or is being read
let scrolled = 0;

async function load(view) {
  reading?.abort();
  reading = new AbortController();
  asked = view;
  const { signal } = reading;
  $("figures").setAttribute("aria-busy", "true");
  try {
    const [{ segments }, ranking] = await Promise.all([
      getOnce("v1/segments"), get("v1/root-causes", filterOf(view), signal),
    ]);
    if (signal.aborted) return;
    context = { ranking, segments, findings: NO_FINDINGS, view };
    show();
    await Promise.all([readTrends(signal), readFindings(signal)]);
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) showProblem(error);
  } finally {
    if (!signal.aborted) $("figures").removeAttribute("aria-busy");
  }
}

function show() {
  const { ranking, segments, view } = context;
  const empty = ranking.n_scored + ranking.n_unscored === 0;
  const ready = ranking.metric.value !== null;
  showFilters($("filters"), segments, view, openUpload);
  $("welcome").hidden = !empty || isFiltered(view);
  $("filters").hidden = !$("welcome").hidden;
  $("figures").hidden = !ready;
  put($("message"), ready || !$("welcome").hidden ? null : nothing(ranking, view));
  document.body.classList.toggle("ready", ready);
  if (!ready) return showSide(readView());
  const months = segments.find(({ name, derived }) => name === "month" && derived)?.values ?? [];
  showMetric($("metric"), ranking, months, view);
  $("causes-title").textContent = `What costs the most ${SCALES[ranking.scale].name}`;
  showCauses($("causes"), ranking, (code) => changeView({ cause: code }));
  put($("notes"), ranking.notes.map((note) => h("li", {}, note)));
  return showSide(readView());
}

function nothing(ranking, view) {
  const text = ranking.n_unscored
    ? `${many(ranking.n_unscored, "response has", "responses have")} no score, so there is nothing to rank.`
    : "No response matches this filter.";
  return h("p", { class: "state" }, text, isFiltered(view)
    ? h("button", { type: "button", onclick: () => changeView({ segment: null, since: null, until: null }) }, "Show all responses") : null);
}

function showProblem(error) {
  context = asked = null;
  const text = error instanceof Problem ? error.message : "Something went wrong on this page.";
  $("figures").hidden = true;
  $("welcome").hidden = true;
  document.body.classList.remove("ready");
  put($("message"), h("p", { class: "state problem" }, text,
    h("button", { type: "button", onclick: () => load(readView()) }, "Try again"),
    h("button", { type: "button", onclick: () => changeView({ segment: null, since: null, until: null, cause: null }) }, "Start over")));
  if (error.status === 401) askForKey();
  if (!(error instanceof Problem)) throw error;
}

async function readTrends(signal) {
  const found = await seriesBy(context.segments, filterOf(context.view), "coarse");
  if (!signal.aborted && found) addTrends($("causes"), found.series, found.by);
}

async function readFindings(signal) {
  let findings = NO_FINDINGS;
  try {
    findings = await getOnce("v1/findings");
  } catch (error) {
    findings = { ...NO_FINDINGS, notes: [error.message] };
  }
  if (signal.aborted) return;
  context.findings = findings;
  showFindings($("findings"), findings, { ...findings.labels, ...context.ranking.labels }, isFiltered(context.view));
  showOwnFindings($("detail"), readView().cause, context);
}

/** Show the chosen cause beside the list; on a narrow screen, in its place. */
function showSide(view) {
  const { ranking } = context;
  const row = ranking.buckets[view.cause] ?? ranking.rows.find(({ code }) => code === view.cause);
  const open = Boolean(row) && ranking.metric.value !== null;
  const was = document.body.classList.contains("chosen");
  if (open && !was) scrolled = scrollY;
  document.body.classList.toggle("chosen", open);
  $("detail").hidden = !open;
  $("findings").hidden = open;
  markChosen($("causes"), open ? view.cause : null);
  if (open) showDetail($("detail"), row, context, view);
  else put($("detail"));
}

function follow() {
  const view = readView();
  if (!asked || !sameFilter(view, asked)) return void load(view);
  if (!context || !sameFilter(view, context.view)) return undefined; // it is being read, and shows itself
  const before = context.view.cause;
  context.view = view;
  showSide(view);
  if (view.cause && view.cause !== before) {
    if (matchMedia("(max-width: 1199px)").matches) scrollTo(0, 0);
    $("detail").scrollTop = 0;
    $("detail").querySelector("h2")?.focus({ preventScroll: true });
  } else if (!view.cause && before) {
    scrollTo(0, scrolled);
    document.querySelector(`button.cause[data-code="${CSS.escape(before)}"]`)?.focus({ preventScroll: true });
  }
  return undefined;
}

function readAnew() {
  forget();
  load(readView());
}

const openUpload = connectUpload(readAnew);
const askForKey = connectKey(readAnew);

$("start").addEventListener("click", () => openUpload());
$("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part of the address behind # holds the view
  $("causes-title").focus();
});
addEventListener("viewchange", follow);
addEventListener("popstate", follow);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && readView().cause && !document.querySelector("dialog[open]")) changeView({ cause: null });
});
load(readView());
