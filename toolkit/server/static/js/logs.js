// A log: its end is followed while its run goes on, until somebody scrolls up; a line that is not here is fetched.
const EVERY = 1500;
const SLOWLY = 5000; // after a minute without a line
const MOST = 5000; // lines that are kept on the page while it is followed

const box = document.getElementById("log");
const follow = document.querySelector("[data-follow]");
const near = () => box.scrollTop + box.clientHeight >= box.scrollHeight - 24;
const toEnd = () => (box.scrollTop = box.scrollHeight);

let planned = null;
let quiet = 0;
let going = Boolean(box?.dataset.more);

function place() {
  const id = location.hash.slice(1);
  if (!/^L[0-9]+$/.test(id)) {
    return false;
  }
  const line = document.getElementById(id);
  if (line) {
    line.scrollIntoView({ block: "center" });
  } else {
    location.replace(`${box.dataset.lines}&line=${id.slice(1)}#${id}`);
  }
  return true;
}

function take(part) {
  const line = Number(box.dataset.line);
  if (part.dataset.joins === undefined && part.children.length) {
    box.replaceChildren();
  }
  let last = box.lastElementChild;
  while (last && Number(last.id.slice(1)) >= line) { // a line whose end had not come
    last.remove();
    last = box.lastElementChild;
  }
  box.append(...part.children);
  box.dataset.byte = part.dataset.byte;
  box.dataset.line = part.dataset.line;
  if (follow.checked) {
    while (box.children.length > MOST) {
      box.firstElementChild.remove();
    }
    toEnd();
  }
  const total = document.querySelector("[data-total]");
  if (total && part.dataset.total !== "0") {
    total.textContent = part.dataset.total;
  }
}

function end(status) {
  going = false;
  const note = document.getElementById("log-end");
  note.querySelector("svg")?.remove();
  note.querySelector("[data-log-end]").textContent = `The run has ended: ${status.toLowerCase()}.`;
  follow.closest("label").remove();
}

async function look() {
  planned = null;
  if (!going || document.visibilityState !== "visible") {
    return;
  }
  try {
    const answer = await fetch(`${box.dataset.more}&byte=${box.dataset.byte}&line=${box.dataset.line}`, { headers: { "hx-request": "true" } });
    if (answer.status === 200) {
      const part = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-byte]");
      const came = part.children.length > 0;
      quiet = came ? 0 : quiet + EVERY;
      if (came) {
        document.querySelector("[data-log-end]").textContent = "The run goes on: what it writes comes here.";
      }
      take(part);
      if (part.dataset.ended) {
        end(part.dataset.ended);
      }
    } else {
      quiet += EVERY;
    }
  } catch {
    quiet += EVERY; // the server is away: it is asked again
  }
  plan();
}

function plan() {
  if (going && planned === null) {
    planned = setTimeout(look, quiet > 60_000 ? SLOWLY : EVERY);
  }
}

if (box) {
  const named = place();
  if (follow) {
    follow.checked = !named;
    box.addEventListener("scroll", () => (follow.checked = near()), { passive: true });
    follow.addEventListener("change", () => follow.checked && toEnd());
    document.addEventListener("visibilitychange", plan);
    plan();
  }
  if (!named) {
    const hit = box.querySelector(".hit");
    if (hit) {
      hit.scrollIntoView({ block: "center" });
    } else if (box.dataset.atEnd !== undefined) {
      toEnd();
    }
  }
  addEventListener("hashchange", place);
}
