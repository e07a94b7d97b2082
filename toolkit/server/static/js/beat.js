// Parts of pages that are to be fresh: they listen for "toolkit:beat", and are only swapped if something is new.
const EVERY = 5000;
const marks = new Map(); // of each part as it was fetched last, by its id
let paused = false;
let unfolded = []; // what was open in the part that is being swapped

const isBeat = (detail) => detail.requestConfig?.triggeringEvent?.type === "toolkit:beat";

function conditional() {
  document.body.addEventListener("htmx:configRequest", ({ detail }) => {
    const mark = marks.get(detail.elt.id);
    if (detail.triggeringEvent?.type === "toolkit:beat" && mark) {
      detail.headers["If-None-Match"] = mark;
    }
  });
  document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const part = detail.target;
    const mark = detail.xhr.getResponseHeader("ETag");
    if (!part?.id || !isBeat(detail)) {
      return;
    }
    const writes = part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
    if (writes || part.querySelector("details.menu[open]")) {
      detail.shouldSwap = false; // somebody is at work there: the next beat comes again
      return;
    }
    if (mark && detail.xhr.status === 200) {
      marks.set(part.id, mark);
    }
    unfolded = [...part.querySelectorAll("details[id]")].filter((each) => each.open).map((each) => each.id);
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const id of unfolded.splice(0)) {
      document.getElementById(id)?.setAttribute("open", "");
    }
  });
}

function pausing() {
  const button = document.querySelector("[data-pause]");
  if (!button) {
    return;
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    tell();
  });
}

function tell() {
  if (!paused && document.visibilityState === "visible") {
    document.body.dispatchEvent(new Event("toolkit:beat"));
  }
}

/** Say every few seconds that parts are to be fresh; a page that nobody sees asks for nothing, and catches up when it is seen. */
export function beat() {
  conditional();
  pausing();
  setInterval(tell, EVERY);
  document.addEventListener("visibilitychange", tell);
}
