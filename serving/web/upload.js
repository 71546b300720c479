// A file of responses on its way to the API, and what became of it.

import { post } from "./api.js";
import { $, h, put } from "./dom.js";
import { count, many } from "./format.js";

const TYPES = {
  csv: "text/csv",
  tsv: "text/tab-separated-values",
  jsonl: "application/x-ndjson",
  ndjson: "application/x-ndjson",
  parquet: "application/vnd.apache.parquet",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
};
const KINDS = "CSV, TSV, Excel (.xlsx), JSON lines or Parquet";
const FIELDS = ["comment", "score", "responded_at", "response_id"];

/** Make the dialog and the drop zones work; `whenDone()` is called after responses were stored. */
export function connectUpload(whenDone) {
  const dialog = $("upload");
  const file = $("file");
  let sending = false;

  async function take(chosen) {
    if (!chosen || sending) return;
    if (!dialog.open) dialog.showModal();
    const type = TYPES[chosen.name.toLowerCase().replace(/\.gz$/, "").split(".").at(-1)];
    if (!type) {
      say(h("p", { class: "problem" }, `${chosen.name} is not a kind of file that can be read: ${KINDS}.`));
      return;
    }
    sending = true;
    say(h("p", {}, `Reading and tagging ${chosen.name}\u2026`), h("progress", { "aria-label": "Working" }));
    try {
      const done = await post("v1/responses", { ...mapping(), filename: chosen.name }, chosen, type);
      say(...result(done));
      whenDone();
    } catch (error) {
      say(...trouble(error));
    } finally {
      sending = false;
      file.value = "";
    }
  }

  file.addEventListener("change", () => take(file.files[0]));
  $("choose").addEventListener("click", () => file.click());
  $("close-upload").addEventListener("click", () => dialog.close());
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("dragenter", (event) => {
    if (event.dataTransfer?.types.includes("Files")) document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    take(event.dataTransfer?.files[0]);
  });
  return () => {
    say();
    dialog.showModal();
  };
}

const say = (...message) => put($("upload-result"), ...message);

/** The columns that people named, as the API takes them. */
function mapping() {
  const map = FIELDS.map((name) => [name, $(`column-${name}`).value.trim()]).filter(([, column]) => column);
  return { map: map.map(([name, column]) => `${name}=${column}`), date_format: $("date-format").value.trim() };
}

function result(done) {
  const kinds = [
    [done.created, "new"], [done.updated, "changed"], [done.unchanged, "as they were"], [done.replaced, "replaced by a later row"],
  ].filter(([n]) => n).map(([n, word]) => `${count(n)} ${word}`);
  const found = [
    [done.tagged, "with reason codes"], [done.uncoded, "without a reason code"], [done.no_comment, "without a comment"],
    [done.error, "that could not be read"],
  ].filter(([n]) => n).map(([n, word]) => `${count(n)} ${word}`);
  return [
    h("p", { class: "done" }, `${many(done.received, "response")} read: ${kinds.join(", ")}.`),
    h("p", { class: "muted" }, found.length ? `${found.join(", ")}.` : ""),
  ];
}

function trouble(error) {
  const { file, row, column, errors } = error.document ?? {};
  const place = [file, row && `row ${row}`, column && `column '${column}'`].filter(Boolean).join(", ");
  if (row === 1 && column) $("columns").open = true;  // where the columns can be named
  const message = place && error.message.startsWith(`${place}: `) ? error.message.slice(place.length + 2) : error.message;
  const words = message.replace(/say map=\w+=\.\.\. in the address/, "say above which one it is");
  return [
    h("p", { class: "problem" }, `${words.charAt(0).toUpperCase()}${words.slice(1)}.`.replace(/([.!?])\.$/, "$1")),
    place ? h("p", {}, `In ${place}.`) : null,
    errors ? h("ul", {}, errors.map(({ detail, pointer, parameter }) => h("li", {}, `${parameter ?? pointer ?? ""} ${detail}`))) : null,
    error.status === 422 ? h("p", { class: "muted" }, "Nothing was stored: all rows are checked before any is written.") : null,
  ];
}
