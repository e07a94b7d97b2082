// Many runs at once: those that are chosen, or all that fit, one batch after the other; what was done can be undone.
import { toast } from "./boot.js";
import { copy } from "./copy.js";

const BATCH = 200;
const DONE = "toolkit.done";
const MOST_UNDONE = 50_000;
const WORDS = { tag: ["Tagging", "tagged"], delete: ["Deleting", "deleted"], restore: ["Restoring", "restored"] };
const BACK = { delete: "restore", restore: "delete" };

const grouped = (count) => count.toLocaleString("en").replaceAll(",", "\u202f");
const runs = (count) => `${grouped(count)} ${count === 1 ? "run" : "runs"}`;

async function send(place, pairs) {
  const answer = await fetch(place, { method: "POST", headers: { "HX-Request": "true" }, body: new URLSearchParams(pairs) });
  if (!answer.ok) {
    const seen = new DOMParser().parseFromString(await answer.text(), "text/html");
    throw new Error(seen.querySelector(".fault")?.textContent?.trim() || `The server answered ${answer.status}.`);
  }
  return answer.json();
}

/** Yield what was changed, batch by batch: the chosen runs, or those of a whole view. */
async function* batches(place, fixed, { ids, view }) {
  if (view === undefined) {
    for (let first = 0; first < ids.length; first += BATCH) {
      yield (await send(place, [...fixed, ...ids.slice(first, first + BATCH).map((id) => ["run", id])])).runs;
    }
    return;
  }
  let after = "";
  do {
    const told = await send(place, [...fixed, ["view", view], ["after", after]]);
    yield told.runs;
    after = told.after;
  } while (after);
}

function bar(text) {
  document.getElementById("bulk-said")?.remove();
  const box = document.createElement("p");
  box.id = "bulk-said";
  box.className = "bulk-said";
  box.setAttribute("role", "status");
  const said = document.createElement("span");
  said.textContent = text;
  box.append(said);
  document.getElementById("runs").before(box);
  return box;
}

function button(label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.addEventListener("click", act);
  return made;
}

/** Change runs, say how far it is, and show the page anew with what was done. */
async function change(place, action, fixed, wanted, total) {
  const [doing] = WORDS[action];
  const box = bar(`${doing} …`);
  let isStopped = false;
  box.append(button("Stop", () => (isStopped = true)));
  const done = [];
  let fault = "";
  try {
    for await (const ids of batches(place, [["action", action], ...fixed], wanted)) {
      done.push(...ids);
      box.firstChild.textContent = `${doing}: ${grouped(done.length)}${total ? ` of ${total}` : ""} …`;
      if (isStopped) {
        break;
      }
    }
  } catch (error) {
    fault = String(error.message || error);
  }
  const kept = { place: location.pathname, action, count: done.length, ids: BACK[action] && done.length <= MOST_UNDONE ? done : [], url: place, fault, isStopped };
  try {
    sessionStorage.setItem(DONE, JSON.stringify(kept));
  } catch {
    // nothing can be kept, so nothing can be undone: the runs are among the deleted ones all the same
  }
  location.reload();
}

function report() {
  let told = null;
  try {
    told = JSON.parse(sessionStorage.getItem(DONE));
    sessionStorage.removeItem(DONE);
  } catch {
    return;
  }
  if (!told || told.place !== location.pathname) {
    return;
  }
  if (told.fault) {
    toast(told.fault);
  }
  const box = bar(`${runs(told.count)} ${WORDS[told.action][1]}${told.isStopped ? ", then stopped" : ""}.`);
  if (told.ids.length) {
    box.append(button("Undo", () => change(told.url, BACK[told.action], [], { ids: told.ids }, grouped(told.count))));
  }
  const close = button("×", () => box.remove());
  close.className = "plain";
  close.setAttribute("aria-label", "Close");
  box.append(close);
}

// All that fit can be chosen when all of the page are: a second step, so that nobody takes it by accident.
document.addEventListener("toolkit:chosen", (event) => {
  const form = event.target.querySelector("[data-bulk]");
  const whole = form?.querySelector("button[data-whole]");
  if (whole) {
    delete form.dataset.takesAll;
    whole.hidden = !event.detail.isAll;
    whole.textContent = `Choose all ${document.getElementById("count").textContent.trim()} that fit`;
  }
});

document.addEventListener("click", (event) => {
  const ids = event.target.closest("[data-copy-chosen]");
  if (ids) {
    const chosen = [...document.querySelectorAll("#rows input[name=run]:checked")].map((box) => box.value);
    if (chosen.length) {
      copy(chosen.join("\n"), ids);
    } else {
      toast("No run is chosen: choose some first.");
    }
  }
  const whole = event.target.closest("button[data-whole]");
  if (whole) {
    const form = whole.closest("[data-bulk]");
    form.dataset.takesAll = "1";
    form.querySelector("[data-chosen]").textContent = `all ${document.getElementById("count").textContent.trim()} that fit are chosen`;
    whole.hidden = true;
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const action = event.submitter?.value;
  if (!form.matches("[data-bulk]") || !WORDS[action]) {
    return;
  }
  event.preventDefault();
  const data = new FormData(form);
  const ids = data.getAll("run");
  const isWhole = form.dataset.takesAll === "1";
  if (!isWhole && !ids.length) {
    toast("No run is chosen: choose some first.");
    return;
  }
  const fixed = action === "tag" ? [["key", data.get("key")], ["value", data.get("value")]] : [];
  const total = isWhole ? document.getElementById("count").textContent.trim() : grouped(ids.length);
  change(form.dataset.bulk, action, fixed, isWhole ? { view: form.dataset.view } : { ids }, total);
});

report();
