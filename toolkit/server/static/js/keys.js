// Keys: single ones where no field has the focus, and only while they are switched on. "?" lists those of this page.
//
// An element that carries data-key="x" is clicked by x (a field gets the focus); its label is what the list says.
// A module with keys of its own tells them by bind().
const OFF = "toolkit.keys";
const PLACES = [
  ["h", "Home", "/"],
  ["e", "Experiments", "/experiments"],
  ["w", "Workflows", "/workflows"],
  ["m", "Models", "/models"],
  ["d", "Deployments", "/deployments"],
];
const FIELDS = "input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range]), textarea, select, [contenteditable]";
// What a page has without saying so: the menu of its object, its id, its tabs.
const USUAL = [
  [".", "Menu of this object", ".head details.menu > summary"],
  ["y", "Copy its id", ".head button[data-copy-text]"],
];

const bound = [];

/**
 * Tell keys of a page.
 * @param {Array<[string, string, function(KeyboardEvent): (boolean|void)]>} list each key, what it does in words, and
 *   what does it; false: it was not for this one, and somebody else may take it.
 */
export function bind(list) {
  bound.push(...list);
}

/** Return whether single keys work: somebody who speaks to the computer switches them off. */
export function on() {
  try {
    return localStorage.getItem(OFF) !== "off";
  } catch {
    return true;
  }
}

function turn(isOn) {
  try {
    localStorage.setItem(OFF, isOn ? "on" : "off");
  } catch {
    // a browser that keeps nothing keeps no choice either
  }
}

const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled;
const first = (selector) => [...document.querySelectorAll(selector)].find(seen);

function tabs() {
  return [...document.querySelectorAll(".tabs")].map((each) => [...each.querySelectorAll("a")].filter(seen)).find((links) => links.length) || [];
}

/** Return the element that a key clicks; nothing where none does. */
function target(key) {
  const own = first(`[data-key="${CSS.escape(key)}"]`);
  if (own) {
    return own;
  }
  const usual = USUAL.find(([each]) => each === key);
  if (usual) {
    return first(usual[2]);
  }
  return /^[1-9]$/.test(key) ? tabs()[Number(key) - 1] : undefined;
}

function press(element) {
  if (element.matches(FIELDS)) {
    element.focus();
    element.select?.();
  } else {
    element.click();
    if (element.matches("summary")) {
      element.focus();
    }
  }
}

function label(element) {
  const named = element.dataset.keySaid || element.getAttribute("aria-label") || element.querySelector("[aria-label]")?.getAttribute("aria-label");
  return (named || element.textContent || element.title || "").trim().replace(/\s+/g, " ").slice(0, 80);
}

/** Return what can be done by keys here: [key, words, what does it]. */
export function commands() {
  const found = new Map();
  for (const [key, text, act] of bound) {
    found.set(key, [key, text, act]);
  }
  for (const element of document.querySelectorAll("[data-key]")) {
    if (seen(element) && !found.has(element.dataset.key)) {
      found.set(element.dataset.key, [element.dataset.key, label(element), () => press(element)]);
    }
  }
  for (const [key, text, selector] of USUAL) {
    const element = first(selector);
    if (element && !found.has(key)) {
      found.set(key, [key, text, () => press(element)]);
    }
  }
  tabs().slice(0, 9).forEach((element, i) => {
    if (!found.has(String(i + 1))) {
      found.set(String(i + 1), [String(i + 1), label(element), () => press(element)]);
    }
  });
  return [...found.values()];
}

/** Return the places that are reached from everywhere: [key, words, path]. */
export function places() {
  return PLACES.map(([key, text, path]) => [`g ${key}`, text, document.body.dataset.prefix + path]);
}

function toFilter() {
  (first("[data-page-filter]") || document.getElementById("find")).focus();
}

/** Return a key as people call it. */
export function named(key) {
  return key === "Escape" ? "Esc" : /^[A-Z]$/.test(key) ? `Shift+${key.toLowerCase()}` : key;
}

function listed(title, rows) {
  const head = document.createElement("h2");
  head.textContent = title;
  const list = document.createElement("dl");
  list.className = "pairs keys";
  for (const [key, text] of rows) {
    const name = document.createElement("dt");
    for (const part of named(key).split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = part;
      name.append(cap, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = text;
    list.append(name, meaning);
  }
  return [head, list];
}

function help() {
  document.getElementById("keys")?.remove();
  const dialog = document.createElement("dialog");
  dialog.id = "keys";
  dialog.className = "sheet";
  dialog.setAttribute("aria-label", "Keys of this page");
  const here = commands();
  const anywhere = [["Ctrl+K", "Go, find, do"], ["/", "Filter of this page, or find"], ...places(), ["?", "This list"]];
  const choice = document.createElement("label");
  choice.className = "check";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = on();
  box.addEventListener("change", () => turn(box.checked));
  choice.append(box, " Single keys work in this browser");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  const columns = document.createElement("div");
  columns.className = "keys-of";
  for (const [title, rows] of [["On this page", here], ["Everywhere", anywhere]]) {
    if (rows.length) {
      const column = document.createElement("section");
      column.append(...listed(title, rows));
      columns.append(column);
    }
  }
  const end = document.createElement("div");
  end.className = "tools";
  end.append(choice, close);
  dialog.append(columns, end);
  document.body.append(dialog);
  dialog.showModal();
}

export function keys() {
  let before = "";
  document.addEventListener("keydown", (event) => {
    const last = before;
    before = "";
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (!on() || event.target.matches?.(FIELDS) || document.querySelector("dialog[open]")) {
      return;
    }
    const place = last === "g" && PLACES.find(([key]) => key === event.key);
    if (place) {
      event.preventDefault();
      location.assign(document.body.dataset.prefix + place[2]);
      return;
    }
    if (event.key === "/" || event.key === "?") {
      event.preventDefault();
      (event.key === "/" ? toFilter : help)();
      return;
    }
    for (const [key, , act] of bound) {
      if (key === event.key && act(event) !== false) {
        event.preventDefault();
        return;
      }
    }
    const element = event.key.length === 1 && target(event.key);
    if (element) {
      event.preventDefault();
      press(element);
      return;
    }
    before = event.key;
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) {
      help();
    }
  });
}
