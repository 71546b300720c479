// The metric on its scale, what separates it from 100, and who answered what.

import { at, between } from "./axis.js";
import { rule, stretch, swatch, whisker } from "./bars.js";
import { h, put, svg } from "./dom.js";
import { SCALES, count, interval, many, monthSpan, points, score, share, span } from "./format.js";

/** Draw the metric of a ranking; `covered` holds the months with responses, `view` the filter. */
export function showMetric(section, ranking, covered, view) {
  const { metric, scale } = ranking;
  const { name } = SCALES[scale];
  const level = `${count(100 * ranking.level)}% interval`;
  put(
    section,
    h("div", { class: "figure" },
      h("h2", {}, name, view.segment ? h("span", { class: "of" }, ` of ${view.segment.replace(":", " ")}`) : null),
      h("p", { class: "value" }, score(metric.value, scale)),
      h("p", { class: "muted" }, `${level} ${score(metric.low, scale)} to ${score(metric.high, scale)}`)),
    h("div", { class: "scale" }, metricScale(ranking), ledger(ranking)),
    h("div", { class: "base" }, classes(metric), facts(ranking, covered, view)),
  );
}

function metricScale(ranking) {
  const { metric, scale } = ranking;
  const { name, low, high } = SCALES[scale];
  const axis = { low, high };
  const ticks = [0, 1, 2, 3, 4].map((quarter) => low + (quarter * (high - low)) / 4);
  const parts = lostParts(ranking);
  const drawing = svg("svg", { class: "plot metric-scale", height: 76, role: "img", "aria-label":
    `${name} ${score(metric.value, scale)} on its scale from ${points(low, 0)} to ${points(high, 0)}` });
  for (const tick of ticks) {
    const anchor = tick === low ? "start" : tick === high ? "end" : "middle";
    drawing.append(rule("grid", axis, tick, 16, 76));
    drawing.append(svg("text", { x: at(axis, tick), y: 11, "text-anchor": anchor }, score(tick, scale).replace(".0", "")));
  }
  drawing.append(svg("line", { class: "axis", x1: "0%", x2: "100%", y1: 30, y2: 30 }));
  drawing.append(svg("rect", { class: "reach", x: at(axis, metric.low), width: between(axis, metric.low, metric.high), y: 23, height: 14 }));
  drawing.append(...whisker(axis, metric.low, metric.high, 30));
  drawing.append(svg("circle", { class: "point", cx: at(axis, metric.value), cy: 30, r: 5 }));
  drawing.append(rule("drop", axis, metric.value, 36, 72));
  let from = metric.value;
  for (const { kind, value } of parts) {
    if (value > 0) drawing.append(stretch(kind, axis, from, from + value, 50, 18));
    from += value;
  }
  return drawing;
}

/** What separates the metric from 100: causes, and the two buckets. */
function lostParts(ranking) {
  const { uncoded, no_comment: silent } = ranking.buckets;
  const causes = 100 - ranking.metric.value - uncoded.points_lost - silent.points_lost;
  return [
    { kind: "lost part", value: causes, label: "causes below" },
    { kind: "none part", value: uncoded.points_lost, label: "comments without a reason code" },
    { kind: "none soft part", value: silent.points_lost, label: "no comment" },
  ];
}

/** The sentence that says how it adds up, to the decimal that is shown. */
function ledger(ranking) {
  const parts = lostParts(ranking);
  const tenths = (value) => Math.round(value * 10);
  const total = 1000 - tenths(ranking.metric.value);
  const shown = parts.map(({ value }) => tenths(value));
  shown[0] = total - shown[1] - shown[2]; // the sum of the causes takes up what rounding leaves
  const sum = parts.map(({ kind, label }, place) => [
    place ? " + " : null,
    h("span", { class: "term" }, swatch(kind), h("b", {}, points(shown[place] / 10)), ` ${label}`),
  ]);
  const metric = score(ranking.metric.value, ranking.scale);
  return h("p", { class: "ledger" }, "Points lost: ", sum, ` = ${points(total / 10)} = 100 \u2212 `,
    metric.startsWith("\u2212") ? `(${metric})` : metric.replace("+", ""), ".");
}

function classes(metric) {
  if (metric.detractor_share === null) return null;
  const found = [
    ["Detractors", "0\u20136", "lost", metric.detractor_share, metric.detractors],
    ["Passives", "7\u20138", "lost soft", metric.passive_share, metric.passives],
    ["Promoters", "9\u201310", "fine", metric.promoter_share, metric.promoters],
  ];
  const axis = { low: 0, high: 1 };
  let from = 0;
  const bar = svg("svg", { class: "plot", height: 14, "aria-hidden": "true" });
  for (const [, , kind, value] of found) {
    bar.append(stretch(`${kind} part`, axis, from, from + value, 0, 14));
    from += value;
  }
  return h("div", { class: "classes" }, bar,
    h("ul", {}, found.map(([label, scores, kind, value, n]) =>
      h("li", {}, swatch(kind), h("b", {}, share(value)), ` ${label.toLowerCase()} `,
        h("span", { class: "muted" }, `(${scores}) ${count(n)}`)))));
}

function facts(ranking, covered, view) {
  const { metric, n_commented: commented } = ranking;
  const period = view.since || view.until ? span(view.since, view.until)
    : covered.length ? monthSpan(covered[0], covered.at(-1)) : null;
  const people = metric.respondents < metric.n ? ` from ${many(metric.respondents, "person", "people")}` : "";
  const rows = [
    ["Responses", `${count(metric.n)}${people}`],
    ["Comments", `${count(commented)} (${share(commented / ranking.n_scored)})`],
    period ? ["Period", period] : null,
  ];
  return h("dl", { class: "facts" }, rows.filter(Boolean).map(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
}
