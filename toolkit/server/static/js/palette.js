// The palette: Ctrl-K (or Cmd-K) opens it. Go somewhere, find something by its name or id, do what this page can.
import { commands, named, places } from "./keys.js";

const RECENT = "toolkit.recent";
const KEPT = 12;
const SHOWN = 6;
const WAIT = 120;
const KINDS = /^\/(experiments|runs|models|workflows|deployments)\/([^/]+)(?:\/versions\/[^/]+)?/;

const prefix = () => document.body.dataset.prefix;

function recent() {
  try {
    const found = JSON.parse(localStorage.getItem(RECENT));
    return Array.isArray(found) ? found.filter((each) => typeof each?.place === "string" && each.place.startsWith("/") && !each.place.startsWith("//")) : [];
  } catch {
    return [];
  }
}

/** Keep what was looked at: things, not lists of them. */
function remember() {
  const below = location.pathname.slice(prefix().length);
  const found = below.match(KINDS);
  const title = document.querySelector("h1")?.textContent.trim();
  if (!found || !title) {
    return;
  }
  const place = prefix() + found[0];
  const entry = { place, text: title.slice(0, 120), note: found[1].slice(0, -1) };
  try {
    localStorage.setItem(RECENT, JSON.stringify([entry, ...recent().filter((each) => each.place !== place)].slice(0, KEPT)));
  } catch {
    // a browser that keeps nothing has nothing recent
  }
}

const fits = (text, wanted) => wanted.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));

/** Return the groups that need no server: what was looked at, places, and what this page can. */
function own(wanted) {
  const own_commands = commands().filter(([, text]) => text && fits(text, wanted));
  const go = places().map(([key, text, place]) => ({ text, note: "", key, act: () => location.assign(place) }));
  return [
    { title: "Recent", items: recent().filter((each) => each.place !== location.pathname && fits(each.text, wanted)).slice(0, SHOWN) },
    { title: "Go to", items: go.filter((each) => fits(each.text, wanted)) },
    { title: "On this page", items: own_commands.map(([key, text, act]) => ({ text, note: "", key, act: () => act(new KeyboardEvent("keydown", { key })) })) },
  ];
}

function option(item, id, dialog) {
  const box = document.createElement("li");
  box.id = id;
  box.setAttribute("role", "option");
  box.setAttribute("aria-selected", "false");
  const text = document.createElement("span");
  text.className = "text";
  text.textContent = item.text;
  box.append(text);
  if (item.note) {
    const note = document.createElement("span");
    note.className = "muted";
    note.textContent = item.note;
    box.append(note);
  }
  if (item.key) {
    const cap = document.createElement("kbd");
    cap.textContent = named(item.key);
    box.append(cap);
  }
  box.addEventListener("click", (event) => take(item, dialog, event.ctrlKey || event.metaKey));
  return box;
}

function take(item, dialog, inNew) {
  if (inNew && item.place) {
    open(item.place, "_blank", "noopener");
    return;
  }
  dialog.close();
  if (item.place) {
    location.assign(item.place);
  } else {
    setTimeout(item.act); // once the dialog has given the focus back
  }
}

function made() {
  const dialog = document.createElement("dialog");
  dialog.id = "palette";
  dialog.className = "sheet palette";
  dialog.setAttribute("aria-label", "Go, find, do");
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "A run, an experiment, a model, a page, a command";
  for (const [name, value] of [["role", "combobox"], ["aria-label", "What to go to, find or do"], ["aria-expanded", "true"], ["aria-controls", "palette-list"], ["aria-autocomplete", "list"], ["autocomplete", "off"], ["spellcheck", "false"]]) {
    input.setAttribute(name, value);
  }
  const list = document.createElement("ul");
  list.id = "palette-list";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What was found");
  const said = document.createElement("p");
  said.className = "unseen";
  said.setAttribute("role", "status");
  dialog.append(input, list, said);
  document.body.append(dialog);
  return { dialog, input, list, said };
}

function show() {
  document.getElementById("palette")?.remove();
  const { dialog, input, list, said } = made();
  let items = [];
  let active = 0;
  let planned = null;
  let asked = null;

  const mark = (place) => {
    active = place;
    const options = [...list.querySelectorAll("[role=option]")];
    options.forEach((each, i) => each.setAttribute("aria-selected", String(i === place)));
    if (options[place]) {
      input.setAttribute("aria-activedescendant", options[place].id);
      options[place].scrollIntoView({ block: "nearest" });
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  };
  const draw = (groups) => {
    const filled = groups.filter((each) => each.items.length);
    items = filled.flatMap((each) => each.items);
    let place = 0;
    list.replaceChildren(
      ...filled.map((group, i) => {
        const part = document.createElement("li");
        part.setAttribute("role", "group");
        part.setAttribute("aria-labelledby", `palette-group-${i}`);
        const title = document.createElement("div");
        title.id = `palette-group-${i}`;
        title.className = "muted title";
        title.textContent = group.title;
        const rows = document.createElement("ul");
        rows.setAttribute("role", "none");
        for (const item of group.items) {
          rows.append(option(item, `palette-${place}`, dialog));
          place += 1;
        }
        part.append(title, rows);
        return part;
      }),
    );
    said.textContent = items.length ? `${items.length} found` : "Nothing was found";
    mark(0);
  };
  const search = async (wanted) => {
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(`${prefix()}/find/glance?${new URLSearchParams({ q: wanted })}`, { signal: asked.signal });
      const told = answer.ok ? (await answer.json()).groups : [];
      if (wanted === input.value.trim()) {
        const [before, go, here] = own(wanted);
        draw([...told, before, go, here]);
      }
    } catch (error) {
      if (error.name !== "AbortError") {
        said.textContent = "The server does not answer.";
      }
    }
  };
  input.addEventListener("input", () => {
    const wanted = input.value.trim();
    draw(own(wanted));
    clearTimeout(planned);
    if (wanted) {
      planned = setTimeout(() => search(wanted), WAIT);
    }
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) {
      event.preventDefault();
      mark((active + step + items.length) % items.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (items[active]) {
        take(items[active], dialog, event.ctrlKey || event.metaKey);
      }
    } else if (event.key === "Escape" && input.value) {
      event.preventDefault();
      input.value = "";
      draw(own(""));
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) {
      dialog.close();
    }
  });
  dialog.addEventListener("close", () => {
    asked?.abort();
    clearTimeout(planned);
    dialog.remove();
  });
  draw(own(""));
  dialog.showModal();
  input.focus();
}

export function palette() {
  remember();
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (!document.querySelector("dialog[open]")) {
        show();
      }
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette]")) {
      show();
    }
  });
}
