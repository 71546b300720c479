// The ranked list: tiers lead, the order within one is not resolved; buckets stand apart.

import { roundAxis } from "./axis.js";
import { axisLabels, causeBar, sparkline, swatch } from "./bars.js";
import { h, put, svg } from "./dom.js";
import { count, interval, labelOf, many, parentOf, points } from "./format.js";

const OPEN_AT_FIRST = 12;

/** Draw the list; `choose(code)` is called when a cause is. */
export function showCauses(section, ranking, choose) {
  const eligible = ranking.rows.filter((row) => row.status === "eligible");
  const insufficient = ranking.rows.filter((row) => row.status === "insufficient");
  const rare = ranking.rows.filter((row) => row.status === "suppressed" && row.mentions > 0);
  const unseen = ranking.rows.filter((row) => row.mentions === 0);
  const buckets = [ranking.buckets.uncoded, ranking.buckets.no_comment];
  const most = reachOf([...eligible, ...insufficient]);
  const axis = roundAxis(reachOf(buckets) <= 1.5 * most ? Math.max(most, reachOf(buckets)) : most);
  const line = (row) => causeLine(row, ranking.labels, axis, choose);
  const open = eligible.length > OPEN_AT_FIRST + 3 ? OPEN_AT_FIRST : eligible.length;
  const more = eligible.slice(open);
  put(
    section,
    legend(ranking),
    eligible.length ? headings(axis, ranking.level) : null,
    eligible.length ? tiers(eligible.slice(0, open), eligible, line) : h("p", { class: "muted" },
      "No cause is mentioned by ten people or more, so none is ranked."),
    more.length ? fold(`${many(more.length, "more cause")}, together ${points(sum(more))} points`,
      tiers(more, eligible, line, eligible[open - 1].tier)) : null,
    insufficient.length || rare.length ? fold(
      `${many(insufficient.length + rare.length, "cause")} with few respondents, together ${points(sum([...insufficient, ...rare]))} points`,
      insufficient.length ? h("p", { class: "muted" }, "Mentioned by 5 to 9 people: too few to be ranked.") : null,
      h("ul", { class: "rows" }, insufficient.map(line)),
      rare.length ? h("p", { class: "muted" }, "Mentioned by fewer than 5 people: ", listed(rare, ranking.labels)) : null,
    ) : null,
    unseen.length ? fold(`${many(unseen.length, "code")} that nobody mentions`,
      h("p", { class: "muted" }, listed(unseen, ranking.labels))) : null,
    bucketLines({ buckets, labels: ranking.labels, level: ranking.level }, axis, choose),
  );
  section.onkeydown = walk;
}

const reachOf = (rows) => Math.max(0, ...rows.map((row) => Math.max(row.bracket_high ?? 0, row.high ?? 0)));

const sum = (rows) => rows.reduce((total, row) => total + (row.points_lost ?? 0), 0);
const listed = (rows, labels) => `${rows.map((row) => labelOf(row.code, labels)).join(", ")}.`;

function fold(summary, ...inside) {
  return h("details", { class: "fold" }, h("summary", {}, summary), inside);
}

function legend({ scale, level }) {
  const key = (drawing, text) => h("span", {}, drawing, text);
  const line = (x1, x2, y1, y2) => svg("line", { class: "whisker", x1, x2, y1, y2 });
  const interval_ = svg("svg", { class: "swatch", width: 22, height: 10, "aria-hidden": "true" },
    line(1, 21, 5, 5), line(1, 1, 1, 9), line(21, 21, 1, 9));
  return h("p", { class: "legend muted" },
    scale === "nps" ? [key(swatch("lost"), "from detractors"), key(swatch("lost soft"), "from passives")] : null,
    key(interval_, `${count(100 * level)}% interval`),
    key(swatch("bracket", 22), "bracket: comments with this cause alone, up to all with it"));
}

function headings(axis, level) {
  return h("div", { class: "cause headings", "aria-hidden": "true" },
    h("span", { class: "label" }, "Cause"), axisLabels(axis), h("span", { class: "lost-points" }, "Points lost"),
    h("span", { class: "reach" }, `${count(100 * level)}% interval`), h("span", { class: "mentions" }, "Mentions"),
    h("span", { class: "trend" }));
}

function tiers(rows, eligible, line, continued = null) {
  const found = new Map();
  for (const row of rows) found.set(row.tier, [...(found.get(row.tier) ?? []), row]);
  return [...found].map(([tier, members]) => {
    const size = eligible.filter((row) => row.tier === tier).length;
    const told = size > 1 ? `${size} causes that cannot be told apart` : "one cause, apart from the others";
    return h("section", { class: "tier" },
      h("h3", {}, `Tier ${tier}: `, h("span", { class: "muted" }, tier === continued ? "continued" : told)),
      h("ul", { class: "rows" }, members.map(line)));
  });
}

function causeLine(row, labels, axis, choose) {
  const label = labelOf(row.code, labels);
  const parent = parentOf(row.code);
  const told = `${label}: ${points(row.points_lost)} points lost, interval ${points(row.low)} to ${points(row.high)}, `
    + `${many(row.mentions, "mention")}`;
  return h("li", {},
    h("button", { type: "button", class: "cause", "data-code": row.code, "aria-label": told, onclick: () => choose(row.code) },
      h("span", { class: "label" }, label, parent ? h("small", {}, labelOf(parent, labels)) : null),
      causeBar(row, axis),
      h("b", { class: "lost-points" }, points(row.points_lost)),
      h("span", { class: "reach" }, interval(row.low, row.high)),
      h("span", { class: "mentions" }, count(row.mentions)),
      h("span", { class: "trend" })));
}

function bucketLines({ buckets, labels, level }, causeAxis, choose) {
  const apart = reachOf(buckets) > causeAxis.high;
  const axis = apart ? roundAxis(reachOf(buckets)) : causeAxis;
  return h("section", { class: "buckets" },
    h("h3", {}, "Without a cause", h("span", { class: "muted" }, apart && causeAxis.high > 0.2 ? " on a wider scale" : "")),
    apart ? headings(axis, level) : null,
    h("ul", { class: "rows" }, buckets.map((row) => causeLine(row, labels, axis, choose))));
}

/** Add the trend of each cause, once it is known. */
export function addTrends(section, series, by) {
  const largest = Math.max(0, ...series.flatMap(({ ranking }) => ranking.rows.map((row) => row.points_lost ?? 0)));
  const heading = section.querySelector(".headings .trend");
  if (heading && series.length > 1) heading.textContent = by === "month" ? "By month" : "By week";
  for (const button of section.querySelectorAll("button.cause")) {
    const rows = seriesOf(series, button.dataset.code);
    put(button.querySelector(".trend"), sparkline(rows, largest / 8, by));
  }
}

/** The rows of one code over the groups of a ranking. */
export function seriesOf(series, code) {
  return series.map(({ value, ranking }) => ({
    value, metric: ranking.metric, row: ranking.buckets[code] ?? ranking.rows.find((row) => row.code === code) ?? null,
  }));
}

/** Mark the cause that is open. */
export function markChosen(section, code) {
  for (const button of section.querySelectorAll("button.cause")) {
    if (button.dataset.code === code) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches("button.cause")) return;
  const all = [...event.currentTarget.querySelectorAll("button.cause")].filter((button) => button.checkVisibility());
  const next = all[all.indexOf(event.target) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}
