// A cause over time, and in each part of a segment: values with their intervals.

import { percent, place, roundAxis } from "./axis.js";
import { causeBar, axisLabels } from "./bars.js";
import { h, svg } from "./dom.js";
import { count, interval, many, monthName, period, points, valueOf } from "./format.js";

const TOP = 14;
const BOTTOM = 150;
const LEFT = 7;

/** Draw points lost over time; every period has its interval, and the figures follow as a table. */
export function trendChart(series, by) {
  const drawn = series.map((one, position) => ({ ...one, position })).filter(({ row }) => row && row.points_lost !== null);
  if (drawn.length < 2) return h("p", { class: "muted" }, "There are too few dated responses for a trend.");
  const axis = roundAxis(highest(drawn));
  const x = (position) => LEFT + (position * (99 - LEFT)) / (series.length - 1);
  const y = (value) => BOTTOM - (place(axis, value) * (BOTTOM - TOP)) / 100;
  const chart = svg("svg", { class: "plot trend-chart", height: BOTTOM + 22, role: "img",
    "aria-label": "Points lost over time with their intervals; the figures follow as a table" });
  for (const tick of axis.ticks) {
    chart.append(svg("line", { class: tick ? "grid" : "axis", x1: "0%", x2: "100%", y1: y(tick), y2: y(tick) }));
    chart.append(svg("text", { x: 0, y: y(tick) - 3 }, points(tick, axis.digits)));
  }
  monthTicks(series).forEach(({ position, label }) =>
    chart.append(svg("text", { x: percent(x(position)), y: BOTTOM + 16, "text-anchor": "middle" }, label)));
  drawn.forEach((one, place_) => {
    const here = percent(x(one.position));
    const before = drawn[place_ - 1];
    chart.append(svg("line", { class: "range", x1: here, x2: here, y1: y(one.row.low), y2: y(one.row.high) }));
    if (before) {
      chart.append(svg("line", { class: "line", x1: percent(x(before.position)), x2: here,
        y1: y(before.row.points_lost), y2: y(one.row.points_lost) }));
    }
  });
  for (const one of drawn) {
    const { row, metric } = one;
    const told = `${period(one.value, by)}: ${points(row.points_lost)} (${interval(row.low, row.high)}), ${many(metric.n, "response")}`;
    const there = { cx: percent(x(one.position)), cy: y(row.points_lost) };
    chart.append(svg("g", {}, svg("title", {}, told), svg("circle", { class: "target", r: 9, ...there }),
      svg("circle", { class: "dot", r: 2.5, ...there })));
  }
  return h("div", {}, chart, figures(drawn, by));
}

/** The top of what is drawn; intervals of periods with hardly any response may reach beyond it. */
function highest(drawn) {
  const sizes = drawn.map(({ metric }) => metric.n).sort((a, b) => a - b);
  const usual = sizes[Math.floor(sizes.length / 2)];
  return Math.max(...drawn.map(({ row, metric }) => (metric.n >= usual / 4 ? row.high : row.points_lost)));
}

/** Months under the axis, few enough not to touch; a week belongs to the month of its Thursday. */
function monthTicks(series) {
  const month = (value) => (value.length > 7 ? new Date(Date.parse(value) + 3 * 86400000).toISOString() : value).slice(0, 7);
  const starts = series
    .map(({ value }, position) => ({ position, month: month(value) }))
    .filter((one, place_, all) => place_ === 0 || one.month !== all[place_ - 1].month);
  const every = Math.ceil(starts.length / 7);
  return starts.filter((_, place_) => place_ % every === 0).map((one, place_) => ({
    position: one.position,
    label: place_ === 0 || one.month.endsWith("-01") ? period(one.month, "month") : monthName(one.month),
  }));
}

function figures(drawn, by) {
  return h("details", { class: "fold" }, h("summary", {}, "As a table"),
    h("table", {},
      h("thead", {}, h("tr", {}, ["Period", "Points lost", "Interval", "Mentions", "Responses"].map((name) =>
        h("th", { scope: "col" }, name)))),
      h("tbody", {}, drawn.map(({ value, row, metric }) => h("tr", {},
        h("th", { scope: "row" }, period(value, by)), h("td", {}, points(row.points_lost)),
        h("td", {}, interval(row.low, row.high)), h("td", {}, count(row.mentions)), h("td", {}, count(metric.n)))))));
}

/** Draw a cause in each part of a segment, most points lost first; the line is the whole. */
export function segmentBars(series, whole, code, cells) {
  const shrunken = new Map((cells?.rows ?? []).filter((cell) => cell.code === code).map((cell) => [cell.value, cell]));
  const drawn = series.filter(({ row }) => row && row.points_lost !== null)
    .sort((a, b) => b.row.points_lost - a.row.points_lost);
  if (!drawn.length) return h("p", { class: "muted" }, "No response has a value for it.");
  const axis = roundAxis(Math.max(whole, ...drawn.map(({ row }) => row.high)));
  return h("div", { class: "segments" },
    h("div", { class: "segment headings", "aria-hidden": "true" }, h("span", { class: "label" }), axisLabels(axis),
      h("span", { class: "lost-points" }, "Points"), h("span", { class: "mentions" }, "Responses")),
    h("ul", { class: "rows" }, drawn.map((one) => segmentLine(one, axis, whole, shrunken.get(one.value)))),
    h("p", { class: "muted note" }, `The line across is the whole: ${points(whole)}. Each bar is of the responses in its own row.`,
      drawn.some(({ row }) => isRare(row)) ? " Where it is pale, fewer than 10 people mention it." : "",
      shrunken.size ? " A ring is the same, shrunk towards the whole by what chance makes of few mentions, with its interval: compare "
        + "rows by the rings, since the longest of many bars is long partly by chance." : ""));
}

const isRare = (row) => row.respondents > 0 && row.respondents < 10;

function segmentLine({ value, row, metric }, axis, whole, cell) {
  const told = `Interval ${interval(row.low, row.high)}`
    + (cell ? `; shrunk ${points(cell.shrunk)} (${interval(cell.low, cell.high)})` : "");
  return h("li", { class: isRare(row) ? "segment few" : "segment" },
    h("span", { class: "label" }, valueOf(value)),
    causeBar(row, axis, { bracket: false, mark: whole, cell }),
    h("span", { class: "lost-points", title: told }, points(row.points_lost)),
    h("span", { class: "mentions" }, count(metric.n)));
}
