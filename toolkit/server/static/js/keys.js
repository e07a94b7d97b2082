// Keys: single ones where no field has the focus. "?" lists them.
const KEYS = [
  ["/", "Filter of this page"],
  ["g h", "Home"],
  ["g e", "Experiments"],
  ["g w", "Workflows"],
  ["g m", "Models"],
  ["g d", "Deployments"],
  ["?", "This list"],
];
const PLACES = { h: "/", e: "/experiments", w: "/workflows", m: "/models", d: "/deployments" };

function help() {
  let dialog = document.getElementById("keys");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.setAttribute("aria-label", "Keys of this page");
    const list = document.createElement("dl");
    list.className = "pairs";
    for (const [key, text] of KEYS) {
      const name = document.createElement("dt");
      name.className = "mono";
      name.textContent = key;
      const meaning = document.createElement("dd");
      meaning.textContent = text;
      list.append(name, meaning);
    }
    const close = document.createElement("button");
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(list, close);
    document.body.append(dialog);
  }
  dialog.showModal();
}

export function keys() {
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select, [contenteditable]")) {
      return;
    }
    if (before === "g" && PLACES[event.key]) {
      location.assign(document.body.dataset.prefix + PLACES[event.key]);
    } else if (event.key === "/") {
      event.preventDefault();
      (document.querySelector("[data-page-filter]") || document.getElementById("find")).focus();
    } else if (event.key === "?") {
      help();
    }
    before = event.key;
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) {
      help();
    }
  });
}
