// What every page does: links of MLflow's clients, the theme, live times, copying, tables, and errors of parts.
import { times } from "./time.js";
import { copying } from "./copy.js";
import { tables } from "./table.js";
import { keys } from "./keys.js";
import { palette } from "./palette.js";
import { placeOf } from "./links.js";
import { beat } from "./beat.js";

const prefix = document.body.dataset.prefix;

function links() {
  const place = placeOf(location.hash);
  if (place !== null) {
    location.replace(prefix + place);
  }
}

// A theme that was chosen is kept, so that the next page comes in it from its first byte.
function theme() {
  const chosen = new URLSearchParams(location.search).get("theme");
  if (chosen === "light" || chosen === "dark") {
    document.cookie = `toolkit_theme=${chosen}; path=/; max-age=31536000; samesite=lax`;
  }
}

export function toast(text) {
  const place = document.getElementById("toasts");
  const box = document.createElement("div");
  box.textContent = text;
  place.append(box);
  setTimeout(() => box.remove(), 8000);
}

function parts() {
  document.body.addEventListener("htmx:responseError", (event) => {
    const seen = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    toast(seen.querySelector(".fault")?.textContent?.trim() || `The server answered ${event.detail.xhr.status}.`);
  });
  document.body.addEventListener("htmx:sendError", () => toast("The server does not answer: is it still running?"));
}

// One menu at a time; a click beside it or Esc closes it.
function menus() {
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.menu[open]")) {
      if (!open.contains(event.target)) {
        open.open = false;
      }
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details.menu[open]")) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    }
  });
}

links();
addEventListener("hashchange", links);
theme();
parts();
menus();
times();
copying();
tables();
keys();
palette();
beat();
document.documentElement.dataset.ready = "1";
