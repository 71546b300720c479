// The filter: one value of a segment, and a period.

import { h, put } from "./dom.js";
import { monthSpan, nameOf, period } from "./format.js";
import { changeView } from "./view.js";

const MOST_VALUES = 200;
const CUSTOM = "custom";

/** Fill the form with what the store can be filtered by, set as the view says. */
export function showFilters(form, segments, view, onAdd) {
  const focused = [...form.elements].indexOf(document.activeElement);
  put(
    form,
    segmentChoice(segments.filter(({ derived, n_values: n }) => !derived && n <= MOST_VALUES), view),
    ...periodChoice(segments.find(({ name, derived }) => name === "month" && derived)?.values ?? [], view),
    h("button", { type: "button", class: "add", onclick: onAdd }, "Add responses"),
  );
  if (focused >= 0) form.elements[focused]?.focus();
}

function segmentChoice(segments, view) {
  const options = (name, values) => values.filter((value) => value !== "").map((value) =>
    h("option", { value: `${name}:${value}`, selected: view.segment === `${name}:${value}` }, value));
  const known = segments.some(({ name, values }) => values.some((value) => view.segment === `${name}:${value}`));
  const choice = h("select", { onchange: () => changeView({ segment: choice.value || null }) },
    h("option", { value: "" }, "All"),
    view.segment && !known ? h("option", { value: view.segment, selected: true }, view.segment) : null,
    segments.map(({ name, values }) => h("optgroup", { label: nameOf(name) }, options(name, values))));
  return h("label", {}, h("span", {}, "Responses"), choice);
}

/** The periods on offer: all, the last months, quarters, months. */
function periods(months) {
  const ends = (first, last) => ({ since: `${first}-01`, until: `${after(last)}-01` });
  const quarters = new Map();
  for (const month of months) {
    const first = Math.floor((Number(month.slice(5)) - 1) / 3) * 3 + 1;
    const start = `${month.slice(0, 4)}-${String(first).padStart(2, "0")}`;
    quarters.set(start, { label: monthSpan(start, before(after(start, 3))), ...ends(start, before(after(start, 3))) });
  }
  return [
    { label: null, found: [{ label: "All", since: null, until: null }] },
    { label: "Quarters", found: quarters.size > 1 ? [...quarters.values()].reverse() : [] },
    { label: "Months", found: months.length > 1
      ? [...months].reverse().map((month) => ({ label: period(month, "month"), ...ends(month, month) })) : [] },
  ];
}

function after(month, steps = 1) {
  const [year, number] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number - 1 + steps, 1)).toISOString().slice(0, 7);
}

const before = (month) => after(month, -1);

function periodChoice(months, view) {
  if (!months.length) return [];
  const groups = periods(months).filter(({ found }) => found.length);
  const all = groups.flatMap(({ found }) => found);
  const fits = all.findIndex(({ since, until }) => since === view.since && until === view.until);
  const option = (one) => h("option", { value: all.indexOf(one), selected: all.indexOf(one) === fits }, one.label);
  const own = dateFields(view);
  own.hidden = fits >= 0;
  const choice = h("select", { onchange: () => {
    own.hidden = choice.value !== CUSTOM;
    if (choice.value === CUSTOM) return own.querySelector("input").focus();
    const { since, until } = all[Number(choice.value)];
    return changeView({ since, until });
  } },
    groups.map(({ label, found }) => (label ? h("optgroup", { label }, found.map(option)) : found.map(option))),
    h("option", { value: CUSTOM, selected: fits < 0 }, "Other dates\u2026"));
  return [h("label", {}, h("span", {}, "Period"), choice), own];
}

/** First and last day, as people count: the last one included. */
function dateFields(view) {
  const shift = (iso, days) => (iso ? new Date(Date.parse(iso) + days * 86400000).toISOString().slice(0, 10) : null);
  const field = (label, value, change) => {
    const input = h("input", { type: "date", value, onchange: () => changeView(change(input.value || null)) });
    return h("label", {}, h("span", {}, label), input);
  };
  return h("span", { class: "dates" },
    field("From", view.since, (value) => ({ since: value })),
    field("to", shift(view.until, -1), (value) => ({ until: shift(value, 1) })));
}
