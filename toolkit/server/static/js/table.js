// Tables of runs: rows are chosen, steps unfold below their run, the picker of columns narrows, runs that go on move.
import { toast } from "./boot.js";

export function update(box) {
  const boxes = [...box.querySelectorAll("tbody input[name=run]")];
  const chosen = boxes.filter((each) => each.checked);
  for (const each of boxes) {
    each.closest("tr").classList.toggle("chosen", each.checked);
  }
  const said = box.querySelector("[data-chosen]");
  if (said) {
    said.textContent = chosen.length ? `${chosen.length} chosen` : "";
  }
  const all = box.querySelector("[data-all]");
  if (all) {
    all.checked = chosen.length > 0 && chosen.length === boxes.length;
    all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
  }
  box.dispatchEvent(new CustomEvent("toolkit:chosen", { bubbles: true, detail: { count: chosen.length, isAll: boxes.length > 0 && chosen.length === boxes.length } }));
}

async function unfold(button) {
  const row = button.closest("tr");
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) {
    while (row.nextElementSibling?.classList.contains("child")) {
      row.nextElementSibling.remove();
    }
    return;
  }
  const answer = await fetch(button.dataset.children, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok) {
    button.setAttribute("aria-expanded", "false");
    toast(answer ? `The server answered ${answer.status}.` : "The server does not answer: is it still running?");
    return;
  }
  const holder = document.createElement("tbody");
  holder.innerHTML = await answer.text();
  if (!holder.children.length) {
    button.setAttribute("aria-expanded", "false");
    button.disabled = true;
    button.title = "This run has no steps";
    return;
  }
  row.after(...holder.children);
  courses(row.closest("[data-runs]"));
}

// Small lines of metrics: fetched together for all rows that have none yet, when the table stands.
async function courses(box) {
  const heads = [...(box?.querySelectorAll("thead th") || [])];
  const places = new Map(heads.map((head, place) => [head.dataset.course, place]).filter(([key]) => key));
  const rows = [...(box?.querySelectorAll("tr[data-run]:not([data-drawn])") || [])];
  const size = Math.floor(1000 / Math.max(10, places.size));
  for (let first = 0; places.size && first < rows.length; first += size) {
    await drawCourses(rows.slice(first, first + size), places);
  }
  rows.forEach((row) => (row.dataset.drawn = "1"));
}

async function drawCourses(rows, places) {
  const answer = await fetch(`${document.body.dataset.prefix}/api/v1/series`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ run_ids: rows.map((row) => row.dataset.run), keys: [...places.keys()], points: 40 }),
  });
  if (!answer.ok) {
    return;
  }
  const byRun = new Map(rows.map((row) => [row.dataset.run, row]));
  for (const { run_id, key, steps, values } of (await answer.json()).series) {
    const numbers = values.map(Number);
    if (numbers.filter(Number.isFinite).length > 1) {
      byRun.get(run_id).children[places.get(key)].replaceChildren(line(steps, numbers, `course of ${key}`));
    }
  }
}

function line(steps, values, label) {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  const wide = steps.at(-1) - steps[0];
  let pen = "M";
  const parts = values.map((value, i) => {
    if (!Number.isFinite(value)) {
      pen = "M";
      return "";
    }
    const x = 96 * (wide ? (steps[i] - steps[0]) / wide : i / Math.max(1, values.length - 1)); // of one step: in their order
    const part = `${pen}${x.toFixed(1)} ${(18 - ((value - low) / span) * 16).toFixed(1)}`;
    pen = "L";
    return part;
  });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of [["class", "spark"], ["viewBox", "0 0 96 20"], ["width", "96"], ["height", "20"], ["role", "img"], ["aria-label", label]]) {
    svg.setAttribute(name, value);
  }
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", parts.join(""));
  svg.append(path);
  return svg;
}

// Rows of runs that go on are fetched again, and only those; new runs make a link and move nothing.
async function live() {
  const box = document.querySelector("[data-live-rows]");
  if (!box) {
    return;
  }
  const query = new URLSearchParams({ since: box.dataset.since });
  const going = [...box.querySelectorAll("tr[data-goes-on]")].slice(0, 100);
  going.forEach((row) => query.append("run", row.dataset.run));
  const answer = await fetch(`${box.dataset.liveRows}${box.dataset.liveRows.includes("?") ? "&" : "?"}${query}`, { headers: { "HX-Request": "true" } });
  if (!answer.ok || !box.isConnected) {
    return;
  }
  const chip = box.querySelector("[data-new-runs]");
  const count = Number(answer.headers.get("toolkit-new-runs"));
  chip.hidden = !count;
  chip.textContent = count === 1 ? "1 new run" : `${count} new runs`;
  const holder = document.createElement("tbody");
  holder.innerHTML = await answer.text();
  for (const fresh of [...holder.children]) {
    const old = going.find((row) => row.dataset.run === fresh.dataset.run);
    if (old) {
      renew(old, fresh);
    }
  }
  courses(box);
}

// The row itself stays, with its box, its focus and what is unfolded below it: its cells take what is new.
function renew(old, fresh) {
  if (!fresh.hasAttribute("data-goes-on")) {
    old.removeAttribute("data-goes-on");
    document.getElementById("said").textContent = `${old.querySelector(".name a").textContent} has ended`;
  }
  [...fresh.children].forEach((cell, i) => {
    const own = old.children[i];
    if (i === 0 || cell.className === "s" || own.contains(document.activeElement)) {
      return;
    }
    if (own.classList.contains("name")) {
      own.querySelector(".state")?.replaceWith(cell.querySelector(".state"));
    } else if (own.textContent !== cell.textContent) {
      own.replaceChildren(...cell.childNodes);
      own.className = cell.className;
      own.title = cell.title;
    }
  });
  if (!old.hasAttribute("data-goes-on")) {
    delete old.dataset.drawn;
  }
}

let last = null;

export function tables() {
  courses(document.querySelector("[data-runs]"));
  document.body.addEventListener("htmx:afterSettle", () => courses(document.querySelector("[data-runs]")));
  document.body.addEventListener("toolkit:beat", live);
  document.addEventListener("click", (event) => {
    const fold = event.target.closest("[data-children]");
    if (fold) {
      unfold(fold);
      return;
    }
    const box = event.target.closest("[data-runs]");
    if (!box || !event.target.matches("input[type=checkbox]")) {
      return;
    }
    if (event.target.matches("[data-all]")) {
      for (const each of box.querySelectorAll("tbody input[name=run]")) {
        each.checked = event.target.checked;
      }
    } else if (event.target.name === "run") {
      const boxes = [...box.querySelectorAll("tbody input[name=run]")];
      const place = boxes.indexOf(event.target);
      if (event.shiftKey && last !== null && boxes[last]) {
        for (const each of boxes.slice(Math.min(last, place), Math.max(last, place) + 1)) {
          each.checked = event.target.checked;
        }
      }
      last = place;
    }
    update(box);
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-narrow]")) {
      return;
    }
    const wanted = event.target.value.toLowerCase();
    for (const each of event.target.closest("form").querySelectorAll("[data-narrowed]")) {
      each.hidden = !each.dataset.narrowed.toLowerCase().includes(wanted);
    }
  });
}
