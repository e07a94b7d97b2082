// Rows of runs: walked through, chosen, peeked at, held against one of them; by keys, and by the menu of each row.
import { toast } from "./boot.js";
import { copy } from "./copy.js";
import { bind } from "./keys.js";
import { update } from "./table.js";

const ROWS = "#rows tr[data-run]";
const COLOURS = 8;

let at = null; // the id of the run where the keys are
let begin = null; // where a choice of several began
let peeking = null;

const rows = () => [...document.querySelectorAll(ROWS)];
const byId = (id) => document.querySelector(`${ROWS}[data-run="${CSS.escape(id)}"]`);
const nameOf = (row) => row.querySelector(".name > a").textContent;

function here() {
  return document.activeElement?.closest?.(ROWS) || (at && byId(at)) || null;
}

function move(step) {
  const all = rows();
  const place = all.indexOf(here());
  const row = all[place < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, place + step))];
  if (!row) {
    return false;
  }
  at = row.dataset.run;
  row.querySelector(".name > a").focus();
  row.scrollIntoView({ block: "nearest" });
  if (peeking) {
    later(() => peek(byId(at)));
  }
  return true;
}

let planned = null;
function later(act) {
  clearTimeout(planned);
  planned = setTimeout(act, 120);
}

function choose(isMany) {
  const row = here();
  const own = row?.querySelector("input[name=run]");
  if (!own) {
    return false;
  }
  const all = rows();
  const from = isMany && begin ? all.indexOf(byId(begin)) : -1;
  own.checked = from >= 0 ? true : !own.checked;
  if (from >= 0) {
    const to = all.indexOf(row);
    for (const each of all.slice(Math.min(from, to), Math.max(from, to) + 1)) {
      const box = each.querySelector("input[name=run]");
      if (box) {
        box.checked = true;
      }
    }
  }
  begin = row.dataset.run;
  update(row.closest("[data-runs]"));
  return true;
}

function chooseAll() {
  document.querySelector("[data-all]")?.click();
}

function escape() {
  if (document.querySelector("#cell-menu, details.menu[open]")) {
    return false;
  }
  if (peeking) {
    closePeek();
    return true;
  }
  const chosen = document.querySelectorAll(`${ROWS} input[name=run]:checked`);
  chosen.forEach((box) => (box.checked = false));
  const table = document.querySelector("[data-runs]");
  if (table && chosen.length) {
    update(table);
  }
  return chosen.length > 0;
}

/** Show the page with other values behind the question mark; an empty one is taken away. */
function go(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries({ ...changes, after: "" })) {
    if (value) {
      query.set(name, value);
    } else {
      query.delete(name);
    }
  }
  const text = query.toString();
  location.assign(text ? `?${text}` : location.pathname);
}

const baseNow = () => document.querySelector("[data-base]")?.dataset.base || "";

function asBase(row) {
  if (!row) {
    return false;
  }
  go({ base: baseNow() === row.dataset.run ? "" : row.dataset.run });
  return true;
}

async function peek(row) {
  const box = document.getElementById("peek");
  if (!row || !box) {
    return false;
  }
  const id = row.dataset.run;
  peeking = id;
  rows().forEach((each) => each.classList.toggle("peeked", each === row));
  const answer = await fetch(`${document.body.dataset.prefix}/runs/${encodeURIComponent(id)}/peek`, { headers: { "HX-Request": "true" } });
  if (peeking !== id) {
    return true; // another one was asked for meanwhile
  }
  if (!answer.ok) {
    toast(`The server answered ${answer.status}.`);
    closePeek();
    return true;
  }
  box.innerHTML = await answer.text(); // of this server, and escaped there
  box.hidden = false;
  document.body.classList.add("has-peek");
  document.getElementById("said").textContent = `${nameOf(row)} is shown at the side`;
  return true;
}

function closePeek() {
  const box = document.getElementById("peek");
  const hadFocus = box.contains(document.activeElement);
  const row = peeking && byId(peeking);
  peeking = null;
  box.hidden = true;
  box.replaceChildren();
  document.body.classList.remove("has-peek");
  rows().forEach((each) => each.classList.remove("peeked"));
  if (hadFocus) {
    row?.querySelector(".name > a").focus();
  }
}

async function paint(row, value) {
  const place = `${document.body.dataset.prefix}/runs/${encodeURIComponent(row.dataset.run)}/colour`;
  const answer = await fetch(place, { method: "POST", headers: { "HX-Request": "true" }, body: new URLSearchParams({ value }) });
  if (!answer.ok) {
    toast(`The colour is not kept: the server answered ${answer.status}.`);
  } else if (value) {
    row.querySelector(".mark .dot").className = `dot d${value}`;
  } else {
    location.reload();
  }
}

function item(label, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => {
    document.getElementById("cell-menu")?.remove();
    act();
  });
  return button;
}

function swatches(row) {
  const box = document.createElement("div");
  box.className = "swatches";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Colour");
  for (let place = 1; place <= COLOURS; place += 1) {
    const button = item("", () => paint(row, String(place)));
    button.className = "plain mark";
    button.setAttribute("aria-label", `Colour ${place}`);
    const dot = document.createElement("span");
    dot.className = `dot d${place}`;
    button.append(dot);
    box.append(button);
  }
  box.append(item("its own", () => paint(row, "")));
  return box;
}

function menu(button) {
  const row = button.closest("tr");
  document.getElementById("cell-menu")?.remove();
  const box = document.createElement("div");
  box.id = "cell-menu";
  box.className = "cell-menu column-menu";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Menu of ${nameOf(row)}`);
  box.append(
    item("Peek", () => peek(row)),
    item(baseNow() === row.dataset.run ? "No baseline" : "Hold others against it", () => asBase(row)),
    item("Copy its id", () => copy(row.dataset.run, button)),
    swatches(row),
  );
  const place = button.getBoundingClientRect();
  document.body.append(box);
  box.style.left = `${Math.max(4, Math.min(place.left, innerWidth - box.offsetWidth - 4)) + scrollX}px`;
  box.style.top = `${Math.max(4, Math.min(place.bottom, innerHeight - box.offsetHeight - 4)) + scrollY}px`;
  box.querySelector("button").focus();
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      box.remove();
      button.focus();
    }
  });
}

// What filters ask of a cell opens where the row's first cell is, if no cell has the focus.
function filterBy() {
  const row = here();
  const cell = document.activeElement?.closest?.(`${ROWS} > td:not(.pick, .name)`) || row?.querySelector("td:not(.pick, .name, .s)");
  if (!cell) {
    return false;
  }
  cell.tabIndex = -1;
  cell.focus();
  cell.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  return true;
}

bind([
  ["j", "Next run", () => move(1)],
  ["k", "Run before", () => move(-1)],
  ["x", "Choose the run", () => choose(false)],
  ["Ctrl+A", "Choose all of the page (while a run has the focus)", chooseAll],
  ["X", "Choose all from the last one to this one", () => choose(true)],
  ["o", "Peek at the run", () => Boolean(here()) && (peek(here()), true)],
  ["b", "Hold the others against it (baseline)", () => asBase(here())],
  ["f", "Filter by the focused cell; arrows go from cell to cell", filterBy],
  ["Escape", "Close what is open; choose none", escape],
]);
bind([["y", "Copy the run’s id", () => {
  const row = document.activeElement?.closest?.(ROWS);
  if (!row) {
    return false;
  }
  copy(row.dataset.run, row.querySelector(".mark"));
  return true;
}]]);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-row-menu]");
  if (button) {
    event.stopPropagation();
    menu(button);
  } else if (event.target.closest("[data-peek-close]")) {
    closePeek();
  }
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "a" && document.activeElement?.closest?.(ROWS)) {
    event.preventDefault();
    chooseAll();
  }
});
document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.(ROWS);
  if (row) {
    at = row.dataset.run;
  }
});
