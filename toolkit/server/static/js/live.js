// A page of a run that goes on: the server tells what is new, and the parts that show it are fetched again.
import { refresh } from "./charts.js";
import { follow } from "./stream.js";

const AT_MOST_EVERY = 1000;
const PARTS = "[data-live]";

let stop = null;
let last = 0;
let planned = null;
let looking = null;

async function update() {
  planned = null;
  last = Date.now();
  if (document.querySelector("[data-chart]")) {
    refresh();
  }
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) {
    return; // the server is started again, perhaps: the next look comes
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (stop && !fresh.querySelector("[data-events]")) {
    close();
    document.getElementById("said").textContent = "The run has ended";
  }
  for (const part of document.querySelectorAll(PARTS)) {
    const other = fresh.getElementById(part.id);
    const busy = part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
    if (!other || busy || part.querySelector("details[open]") || part.innerHTML === other.innerHTML) {
      continue;
    }
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.replaceChildren(...other.childNodes);
    if (focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
  }
}

function plan() {
  planned ??= setTimeout(update, Math.max(0, AT_MOST_EVERY - (Date.now() - last)));
}

function open() {
  const place = document.querySelector("[data-events]")?.dataset.events;
  if (!place || stop) {
    return;
  }
  // The first event counts too: the run went on while the page came. At the end what the page says then is looked at.
  stop = follow(place, { run: plan, steps: plan, end: ended }, plan);
  // Not all that a page shows is told, such as what steps measure: that is looked at now and then.
  const every = Number(document.querySelector("[data-look]")?.dataset.look);
  looking = every ? setInterval(plan, every) : null;
}

function ended() {
  close();
  plan();
  document.getElementById("said").textContent = "The run has ended";
}

function close() {
  clearInterval(looking);
  stop?.();
  stop = null;
}

document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? open() : close()));
addEventListener("pagehide", close);
open();
