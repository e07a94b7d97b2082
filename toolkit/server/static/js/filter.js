// The filter of a table of runs: names of fields are completed while one writes, and a cell gives a part of a filter.
const MOST = 12;
const WORD = /[\w.`/:-]*$/;

let fields = null;

async function known(input) {
  fields ??= fetch(input.dataset.complete)
    .then((answer) => (answer.ok ? answer.json() : { fields: [] }))
    .then((told) => told.fields)
    .catch(() => []);
  return fields;
}

/** Return the fields that go on from what is written, those that begin with it first. */
function fitting(all, word) {
  const wanted = word.toLowerCase();
  const found = all.filter((field) => field.toLowerCase().includes(wanted) && field !== word);
  const rank = (field) => (field.toLowerCase().startsWith(wanted) ? 0 : field.toLowerCase().includes(`.${wanted}`) ? 1 : 2);
  return found.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b)).slice(0, MOST);
}

/** Return a filter and one more part of it; what was there stays together. */
export function joined(filter, part) {
  const before = filter.trim();
  if (!before) {
    return part;
  }
  return /\bor\b/i.test(before) ? `(${before}) AND ${part}` : `${before} AND ${part}`;
}

function completion(input) {
  const list = document.createElement("ul");
  list.id = "fields";
  list.className = "listbox";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Fields");
  list.hidden = true;
  input.closest("label").after(list);
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", "fields");
  input.setAttribute("aria-expanded", "false");
  let active = -1;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const word = () => input.value.slice(0, input.selectionStart).match(WORD)[0];
  const inText = () => (input.value.slice(0, input.selectionStart).split("'").length - 1) % 2 === 1;
  const mark = (place) => {
    active = place;
    [...list.children].forEach((each, i) => each.setAttribute("aria-selected", String(i === place)));
    input.setAttribute("aria-activedescendant", list.children[place].id);
    list.children[place].scrollIntoView({ block: "nearest" });
  };
  const accept = (text) => {
    const end = input.selectionStart;
    const begin = end - word().length;
    input.setRangeText(`${text} `, begin, end, "end");
    close();
    input.focus();
  };
  input.addEventListener("input", async () => {
    const written = word();
    if (!written || inText() || /^[\d.-]/.test(written)) {
      close();
      return;
    }
    const found = fitting(await known(input), written);
    if (!found.length || written !== word()) {
      close();
      return;
    }
    list.replaceChildren(
      ...found.map((text, i) => {
        const item = document.createElement("li");
        item.id = `field-${i}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        item.textContent = text;
        return item;
      }),
    );
    active = -1;
    input.removeAttribute("aria-activedescendant");
    list.hidden = false;
    list.style.left = `${input.offsetLeft}px`;
    list.style.top = `${input.offsetTop + input.offsetHeight}px`;
    input.setAttribute("aria-expanded", "true");
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) {
      return;
    }
    const count = list.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(event.key === "ArrowDown" ? (active + 1) % count : (active - 1 + count) % count);
    } else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) {
      event.preventDefault();
      accept(list.children[active].textContent);
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
  });
  input.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) {
      event.preventDefault();
      accept(item.textContent);
    }
  });
}

function quoted(text) {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Return what can be asked of a cell: a few words, and the part of a filter that says it. */
function questions(field, text, isMissing) {
  if (isMissing) {
    return [["only runs without it", `${field} IS NULL`], ["only runs with it", `${field} IS NOT NULL`]];
  }
  const isNumber = field.startsWith("metrics.") || field === "start_time";
  if (!isNumber) {
    return [["only this", `${field} = ${quoted(text)}`], ["not this", `${field} != ${quoted(text)}`]];
  }
  if (!Number.isFinite(Number(text))) {
    return [["only runs with it", `${field} IS NOT NULL`]];
  }
  return [[`≥ ${text}`, `${field} >= ${text}`], [`≤ ${text}`, `${field} <= ${text}`], ["only this", `${field} = ${text}`]];
}

const REACHED = "#rows tr[data-run] > td:not(.pick)";

function fieldOf(cell) {
  const heads = cell.closest("table").tHead.rows[0].children;
  return heads[[...cell.parentNode.children].indexOf(cell)]?.dataset.field || "";
}

function ask(input, cell) {
  document.getElementById("cell-menu")?.remove();
  const field = fieldOf(cell);
  const isCut = cell.title.includes("…");
  if (!field || field === "start_time" || isCut) {
    return;
  }
  const menu = document.createElement("div");
  menu.id = "cell-menu";
  menu.className = "cell-menu";
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", `Filter by ${field}`);
  for (const [label, part] of questions(field, cell.title, cell.classList.contains("e"))) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      menu.remove();
      input.value = joined(input.value, part);
      input.form.requestSubmit();
      input.focus();
    });
    menu.append(button);
  }
  const place = cell.getBoundingClientRect();
  document.body.append(menu);
  menu.style.left = `${Math.max(4, Math.min(place.left, innerWidth - menu.offsetWidth - 4)) + scrollX}px`;
  menu.style.top = `${place.bottom + scrollY}px`;
  return menu;
}

function cells(input) {
  document.addEventListener("click", (event) => {
    const cell = event.target.closest(REACHED);
    const chosen = String(getSelection());
    if (cell && !event.target.closest("a, button, input") && !chosen) {
      ask(input, cell);
    } else if (!event.target.closest("#cell-menu")) {
      document.getElementById("cell-menu")?.remove();
    }
  });
  // From a run's name the arrows go through the cells; Enter or f asks.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.getElementById("cell-menu")?.remove();
      return;
    }
    const cell = event.target.closest?.(REACHED);
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const row = cell.parentNode;
    const place = [...row.children].indexOf(cell);
    const steps = {
      ArrowRight: cell.nextElementSibling,
      ArrowLeft: cell.previousElementSibling,
      ArrowDown: row.nextElementSibling?.children[place],
      ArrowUp: row.previousElementSibling?.children[place],
    };
    const next = steps[event.key];
    if (next?.matches(REACHED)) {
      event.preventDefault();
      const target = next.classList.contains("name") ? next.querySelector("a") : next;
      if (target === next) {
        next.tabIndex = -1;
      }
      target.focus();
    } else if ((event.key === "Enter" || event.key === "f") && event.target === cell) {
      event.preventDefault();
      ask(input, cell)?.querySelector("button")?.focus();
    }
  });
}

// Columns that this browser chose last, and that an address did not name, stand in it from now on.
function taken() {
  const text = document.querySelector("[data-taken]")?.dataset.taken;
  const query = new URLSearchParams(location.search);
  if (text && !query.has("cols")) {
    history.replaceState(history.state, "", `?${query.size ? `${query}&` : ""}${text}${location.hash}`);
  }
}

/** Return the address of what is shown, that shows it to somebody who has chosen other columns, too. */
function address() {
  const found = new URL(location.href);
  if (!found.searchParams.has("cols")) {
    found.searchParams.append("cols", "usual");
  }
  return found;
}

// What is saved and copied is what is shown now: the table may have changed since the page came.
function views() {
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-save-view]")) {
      event.target.elements.query.value = address().search;
    }
  });
  document.addEventListener(
    "toggle",
    (event) => {
      const copy = event.target.matches?.(".views") && event.target.querySelector("[data-copy-address]");
      if (copy) {
        copy.dataset.copyText = address().href;
      }
    },
    true,
  );
}

const input = document.querySelector("[data-complete]");
if (input) {
  completion(input);
  cells(input);
  views();
  taken();
  document.body.addEventListener("htmx:afterSettle", taken);
}
