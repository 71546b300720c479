// The key that the service may ask for: shown once, then a cookie that no script can read stands for it.

import { post } from "./api.js";
import { $, h, put } from "./dom.js";

/** Make the dialog work; `whenOpen()` is called once a key was taken. Gives the function that asks for one. */
export function connectKey(whenOpen) {
  const dialog = $("key-dialog");
  const field = $("key");

  async function show() {
    try {
      await post("v1/session", {}, JSON.stringify({ key: field.value.trim() }), "application/json");
    } catch (error) {
      put($("key-result"), h("p", { class: "problem" }, `${error.message}.`));
      return;
    }
    field.value = "";
    put($("key-result"));
    dialog.close();
    whenOpen();
  }

  $("show-key").addEventListener("click", show);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") show();
  });
  return () => {
    if (!dialog.open) dialog.showModal();
  };
}
