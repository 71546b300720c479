// One cause: what it means, its figures in words, its trend, its segments, and the comments behind it.

import { getOnce } from "./api.js";
import { seriesOf } from "./causes.js";
import { showComments } from "./comments.js";
import { h, put } from "./dom.js";
import { findingsOf, told } from "./findings.js";
import { SCALES, count, filterWords, labelOf, many, nameOf, parentOf, points, share, signed } from "./format.js";
import { seriesBy } from "./series.js";
import { segmentBars, trendChart } from "./trend.js";
import { changeView, filterOf, isFiltered } from "./view.js";

const BUCKETS = {
  uncoded: "Comments in which no reason code was found that counts against the score. Comments that only praise "
    + "are among them: praise is no cause.",
  no_comment: "Responses that gave a score and no comment. Nobody knows their reason.",
};

const REASONS = {
  no_responses: "there are no responses",
  promoters_not_tagged: "comments of promoters were not tagged",
  all_in_one_class: "all responses are in one class",
  no_mentions: "nobody mentions it",
  mentioned_by_all: "every response mentions it",
};

/** Fill the section with a cause's detail; `context` holds ranking, segments and findings, `view` the view. */
export function showDetail(section, row, context, view) {
  const { ranking, segments } = context;
  const label = labelOf(row.code, ranking.labels);
  const parent = parentOf(row.code);
  const definition = h("div", { class: "definition" });
  put(
    section,
    h("button", { type: "button", class: "quiet close", onclick: () => changeView({ cause: null }) },
      h("span", { class: "if-wide" }, "Close"), h("span", { class: "if-narrow" }, "\u2190 All causes")),
    h("h2", { tabindex: "-1" }, parent ? h("small", {}, labelOf(parent, ranking.labels)) : null, label),
    isFiltered(view) ? h("p", { class: "muted" }, `Among ${filterWords(view)}`) : null,
    definition,
    h("ul", { class: "findings own" }),
    words(row, ranking),
    trendPart(row, context, view),
    segmentPart(row, segments, view),
    row.code === "no_comment" ? null : commentPart(row, ranking, view),
  );
  define(definition, row.code);
  showOwnFindings(section, row.code, context);
}

/** Put the findings about the cause into its detail, which may stand there before them. */
export function showOwnFindings(section, code, { findings, ranking }) {
  const place_ = section.querySelector(".own");
  if (place_) put(place_, findingsOf(findings, code).map((finding) => h("li", {}, told(finding, ranking.labels))));
}

async function define(place, code) {
  if (BUCKETS[code]) return put(place, h("p", {}, BUCKETS[code]));
  try {
    const taxonomy = await getOnce("v1/taxonomy");
    const found = taxonomy.codes.find(({ id }) => id === code);
    if (!found) return undefined;
    return put(place,
      found.definition ? h("p", {}, found.definition) : null,
      found.includes.length ? h("p", { class: "muted" }, `Such as ${found.includes.join(", ")}.`) : null);
  } catch {
    return undefined; // without a model there are no definitions, and all else still holds
  }
}

function words(row, ranking) {
  const { metric, scale } = ranking;
  const { name } = SCALES[scale];
  const parts = scale === "nps"
    ? `: ${points(row.from_detractors)} from detractors, ${points(row.from_passives)} from passives` : "";
  const bucket = row.status === "bucket";
  const eligible = ranking.rows.filter(({ status }) => status === "eligible").length;
  const found = [
    ["Points lost", [h("b", {}, points(row.points_lost)),
      ` of the ${points(100 - metric.value)} that ${name} lacks to 100 are associated with ${bucket ? "these responses" : "it"} `
      + `(${count(100 * ranking.level)}% interval ${points(row.low)} to ${points(row.high)})${parts}.`]],
    [bucket ? "Responses" : "Mentions", `${many(row.mentions, "response")} from ${many(row.respondents, "person", "people")}, `
      + `${share(row.prevalence)} of all${!bucket && row.praised ? `; ${count(row.praised)} more praise it` : ""}.`],
    bucket ? null : ["Bracket", `From ${points(row.bracket_low)} in comments with this cause alone to ${points(row.bracket_high)} in all `
      + "that mention it. Comments with several causes are split equally between them."],
    bucket ? null : ["Place", place(row, eligible)],
    bucket ? null : ["Leave one out", impact(row.impact, name)],
  ];
  return h("dl", { class: "words" }, found.filter(Boolean).map(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
}

function place(row, eligible) {
  if (row.tier === null) return `Not ranked: ${many(row.respondents, "person mentions", "people mention")} it, and it takes ten.`;
  const ranks = row.rank_low === row.rank_high ? `rank ${row.rank_low}` : `a rank from ${row.rank_low} to ${row.rank_high}`;
  return `Tier ${row.tier}: ${ranks} of ${count(eligible)}.`;
}

function impact(found, name) {
  if (found.value === null) return `Not known, since ${REASONS[found.reason] ?? found.reason}.`;
  const range = found.low === null ? "" : ` (interval ${signed(found.low)} to ${signed(found.high)})`;
  return `${name} over all responses is ${points(Math.abs(found.value))} ${found.value <= 0 ? "lower" : "higher"} than over those that do `
    + `not mention it${range}${found.flagged ? ", which is more than chance" : ""}. This counts a comment once for each of its causes, so it does not add up over causes.`
    + (found.shrunk ? " With so few mentions it is drawn towards 0." : "");
}

function trendPart(row, context, view) {
  const body = h("div", { "aria-busy": "true" }, h("p", { class: "muted" }, "Reading\u2026"));
  const title = h("h3", {}, "Over time");
  seriesBy(context.segments, filterOf(view), "fine").then((found) => {
    title.textContent = found?.by === "month" ? "By month" : found ? "By week" : "Over time";
    put(body, found ? trendChart(seriesOf(found.series, row.code), found.by)
      : h("p", { class: "muted" }, "The responses have no dates."), found ? mixedNote(context.ranking.versions) : null);
  }).catch((error) => put(body, h("p", { class: "problem" }, error.message)))
    .finally(() => body.removeAttribute("aria-busy"));
  return h("section", {}, title, body);
}

/** Several models read alike only by chance: say so where periods stand beside each other. */
function mixedNote(versions) {
  return versions.length < 2 ? null : h("p", { class: "muted note" },
    `The tags are by ${versions.slice(0, -1).join(", ")} and ${versions.at(-1)}: a rise or fall may be the model\u2019s.`);
}

function segmentPart(row, segments, view) {
  const names = segments.filter(({ name, derived, n_values: n }) => n <= 200 && (!derived || name === "month")).map(({ name }) => name);
  if (!names.length) return null;
  const chosen = names.includes(view.by) ? view.by : names.find((name) => name !== "month") ?? names[0];
  const body = h("div", {});
  const choice = h("select", { onchange: () => {
    changeView({ by: choice.value }, { quiet: true });
    fill(choice.value);
  } }, names.map((name) => h("option", { value: name, selected: name === chosen }, nameOf(name))));

  async function fill(by) {
    put(body, h("p", { class: "muted" }, "Reading\u2026"));
    try {
      const { groups, cells } = await getOnce("v1/root-causes", { ...filterOf(view), by });
      if (choice.value !== by) return;
      const series = Object.entries(groups).map(([value, ranking]) => ({ value, ranking }));
      put(body, segmentBars(seriesOf(series, row.code), row.points_lost, row.code, cells));
    } catch (error) {
      put(body, h("p", { class: "problem" }, error.message));
    }
  }

  fill(chosen);
  return h("section", {}, h("h3", {}, h("label", {}, "By ", choice)), body);
}

function commentPart(row, ranking, view) {
  const body = h("div", {});
  const order = view.order === "lowest_score" ? "lowest_score" : "newest";
  const choice = h("select", { onchange: () => {
    changeView({ order: choice.value }, { quiet: true });
    fill();
  } },
    [["newest", "newest first"], ["lowest_score", "lowest score first"]].map(([value, text]) =>
      h("option", { value, selected: value === order }, text)));
  const fill = () => showComments(body, row.code, { ...filterOf(view), order: choice.value }, ranking.labels, ranking.scale);
  fill();
  return h("section", {}, h("h3", {}, h("label", {}, "Comments, ", choice)), body);
}
