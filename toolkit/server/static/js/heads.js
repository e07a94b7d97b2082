// Heads of a table of runs: each has a menu, that sorts, groups, moves, hides, and says which value of a metric is shown.
import { joined } from "./filter.js";

const VALUES = [["m", "Last value"], ["min", "Least value"], ["max", "Greatest value"], ["s", "Course"]];
const heads = () => [...document.querySelectorAll(".runs thead th[data-column]:not(.name)")];

function split(column) {
  const cut = column.indexOf(":");
  return [column.slice(0, cut), column.slice(cut + 1)];
}

/** Show the page with other columns, or another order, group or filter. */
function go(change) {
  const query = new URLSearchParams(location.search);
  query.delete("after");
  change(query);
  const text = query.toString();
  location.assign(text ? `?${text}` : location.pathname);
}

function withColumns(columns) {
  go((query) => {
    query.delete("cols");
    [...new Set(columns)].forEach((column) => query.append("cols", column));
  });
}

function entries(head) {
  const columns = heads().map((each) => each.dataset.column);
  const own = head.dataset.column;
  const place = columns.indexOf(own);
  const [kind, key] = split(own);
  const field = head.dataset.field;
  const moved = (step) => {
    const other = [...columns];
    [other[place], other[place + step]] = [other[place + step], other[place]];
    withColumns(other);
  };
  const found = [];
  if (field) {
    found.push(["Sort upwards", () => go((query) => query.set("sort", own))], ["Sort downwards", () => go((query) => query.set("sort", `-${own}`))]);
  }
  for (const [other, label] of VALUES.some(([each]) => each === kind) ? VALUES : []) {
    if (other !== kind) {
      found.push([label, () => withColumns(columns.with(place, `${other}:${key}`))]);
    }
  }
  if (kind === "p" || kind === "t" || own === "a:user") {
    found.push(["Group by it", () => go((query) => query.set("group", own))]);
  }
  if (field && "mpt".includes(kind)) {
    found.push(["Only runs with it", () => go((query) => query.set("q", joined(query.get("q") || "", `${field} IS NOT NULL`)))]);
  }
  if (place > 0) {
    found.push(["Move left", () => moved(-1)]);
  }
  if (place < columns.length - 1) {
    found.push(["Move right", () => moved(1)]);
  }
  if (columns.length > 1) {
    found.push(["Hide", () => withColumns(columns.filter((each) => each !== own))]);
  }
  return found;
}

function menu(button) {
  const head = button.closest("th");
  document.getElementById("cell-menu")?.remove();
  const box = document.createElement("div");
  box.id = "cell-menu";
  box.className = "cell-menu column-menu";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", button.getAttribute("aria-label"));
  for (const [label, act] of entries(head)) {
    const item = document.createElement("button");
    item.type = "button";
    item.textContent = label;
    item.addEventListener("click", () => {
      box.remove();
      act();
    });
    box.append(item);
  }
  const place = button.getBoundingClientRect();
  document.body.append(box);
  box.style.left = `${Math.max(4, Math.min(place.left, innerWidth - box.offsetWidth - 4)) + scrollX}px`;
  box.style.top = `${place.bottom + scrollY}px`;
  box.querySelector("button").focus();
  box.addEventListener("keydown", (event) => {
    const items = [...box.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      box.remove();
      button.focus();
    }
  });
}

function buttons() {
  for (const head of heads()) {
    if (!head.querySelector(".head-menu")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain head-menu";
      button.textContent = "⋮";
      button.setAttribute("aria-label", `Menu of ${split(head.dataset.column)[1]}`);
      head.insertBefore(button, head.querySelector(".grip"));
    }
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".head-menu");
  if (button) {
    menu(button);
  }
});
buttons();
document.body.addEventListener("htmx:afterSettle", buttons);
