// The graph of a workflow: what hangs together stands out, arrows go along the lines, a step opens beside it.
const GRAPH = "[data-graph]";

function reach(graph, name, from, to) {
  const found = new Set([name]);
  const waiting = [name];
  while (waiting.length) {
    const each = waiting.pop();
    for (const edge of graph.querySelectorAll(".edge")) {
      if (edge.dataset[from] === each && !found.has(edge.dataset[to])) {
        found.add(edge.dataset[to]);
        waiting.push(edge.dataset[to]);
      }
    }
  }
  return found;
}

function light(node) {
  const graph = node?.closest(GRAPH);
  if (!graph) {
    for (const each of document.querySelectorAll(`${GRAPH} .dim, ${GRAPH} .lit`)) {
      each.classList.remove("dim", "lit");
    }
    return;
  }
  const before = reach(graph, node.dataset.name, "to", "from");
  const after = reach(graph, node.dataset.name, "from", "to");
  for (const each of graph.querySelectorAll(".node")) {
    each.classList.toggle("dim", !before.has(each.dataset.name) && !after.has(each.dataset.name));
  }
  for (const edge of graph.querySelectorAll(".edge")) {
    const { from, to } = edge.dataset;
    edge.classList.toggle("dim", !(before.has(from) && before.has(to)) && !(after.has(from) && after.has(to)));
  }
  for (const line of graph.querySelectorAll(".edge, .edge-label")) {
    line.classList.toggle("lit", line.dataset.from === node.dataset.name || line.dataset.to === node.dataset.name);
  }
}

// One stop for the Tab key: the step that was reached last, at first the one that is open.
function rove(graph, node) {
  for (const each of graph.querySelectorAll(".node")) {
    each.setAttribute("tabindex", each === node ? "0" : "-1");
  }
}

function prepare() {
  for (const graph of document.querySelectorAll(GRAPH)) {
    const nodes = graph.querySelectorAll(".node");
    const node = graph.querySelector(".node:focus") || graph.querySelector(".node[aria-current]") || nodes[0];
    if (node && !graph.querySelector('.node[tabindex="0"]')) {
      rove(graph, node);
      if (node.hasAttribute("aria-current")) {
        const box = graph.closest(".graph");
        const { left, right } = node.getBoundingClientRect();
        const outer = box.getBoundingClientRect();
        box.scrollLeft += Math.max(0, right + 16 - outer.right) - Math.max(0, outer.left + 16 - left);
      }
    }
  }
}

function neighbour(node, key) {
  const graph = node.closest(GRAPH);
  const nodes = [...graph.querySelectorAll(".node")];
  if (key === "ArrowUp" || key === "ArrowDown") {
    const column = nodes.filter((each) => each.dataset.column === node.dataset.column);
    return column[column.indexOf(node) + (key === "ArrowDown" ? 1 : -1)];
  }
  const [own, other] = key === "ArrowRight" ? ["from", "to"] : ["to", "from"];
  const edge = [...graph.querySelectorAll(".edge")].find((each) => each.dataset[own] === node.dataset.name);
  return edge && nodes.find((each) => each.dataset.name === edge.dataset[other]);
}

// Takes a page's graph and panel from the server and puts them in place; what is not there is loaded as a page.
let asked = null;

async function show(place, focus) {
  asked = place;
  const answer = await fetch(place, { headers: { accept: "text/html" } });
  const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
  const flow = fresh && fresh.querySelector(".flow");
  if (!flow) {
    location.assign(place);
    return;
  }
  if (asked !== place) {
    return; // something else was asked for meanwhile
  }
  for (const id of ["live-flow", "live-panel"]) {
    document.getElementById(id).replaceChildren(...fresh.getElementById(id).childNodes);
  }
  const tabs = fresh.querySelectorAll(".tabs");
  document.querySelectorAll(".tabs").forEach((each, number) => tabs[number] && each.replaceWith(tabs[number]));
  document.querySelector(".flow").className = flow.className;
  const form = fresh.querySelector("[data-choose]");
  for (const own of document.querySelectorAll("[data-choose]")) {
    own.querySelectorAll("[type=hidden]").forEach((each) => each.remove());
    own.prepend(...form.querySelectorAll("[type=hidden]"));
    if (!own.contains(document.activeElement)) {
      own.elements.select.value = form.elements.select.value;
    }
  }
  prepare();
  const panel = document.getElementById("h-step");
  if (focus && panel) {
    panel.focus({ preventScroll: true });
    document.getElementById("live-panel").scrollIntoView({ block: "nearest" });
  }
}

function follow(link, focus) {
  const place = new URL(link.getAttribute("href"), location.href);
  place.hash = "";
  history.pushState(null, "", place);
  show(place, focus);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-step], a[data-close], a[data-group]");
  if (link && event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)) {
    event.preventDefault();
    follow(link, true);
  }
});
document.addEventListener("mouseover", (event) => light(event.target.closest(`${GRAPH} .node`)));
document.addEventListener("focusin", (event) => {
  const node = event.target.closest(`${GRAPH} .node`);
  light(node);
  if (node) {
    rove(node.closest(GRAPH), node);
  }
});
document.addEventListener("keydown", (event) => {
  const node = event.target.closest(`${GRAPH} .node`);
  if (node && event.key.startsWith("Arrow")) {
    event.preventDefault();
    neighbour(node, event.key)?.focus();
  } else if (event.key === "Escape" && event.target.closest("#live-panel")) {
    document.querySelector("#live-panel [data-close]")?.click();
  }
});
// Steps are chosen while one writes; the address says which, and going back goes to where one was before.
let writing = null;

function choose(form, written) {
  clearTimeout(writing);
  const place = new URL(location.href);
  place.hash = "";
  place.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
  if (place.href === location.href) {
    return;
  }
  history[written ? "replaceState" : "pushState"](null, "", place);
  show(place, false);
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-choose]");
  if (form) {
    clearTimeout(writing);
    writing = setTimeout(choose, 250, form, true);
  }
});
document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-choose]")) {
    event.preventDefault();
    choose(event.target, false);
  }
});
addEventListener("popstate", () => show(location.href, false));
new MutationObserver(prepare).observe(document.getElementById("main"), { childList: true, subtree: true });
prepare();
