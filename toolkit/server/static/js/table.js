// Tables of runs: rows are chosen, steps unfold below their run, the picker of columns narrows.
function update(box) {
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
  const answer = await fetch(button.dataset.children, { headers: { "HX-Request": "true" } });
  const holder = document.createElement("tbody");
  holder.innerHTML = await answer.text();
  if (!holder.children.length) {
    button.setAttribute("aria-expanded", "false");
    button.disabled = true;
    button.title = "This run has no steps";
    return;
  }
  row.after(...holder.children);
}

let last = null;

export function tables() {
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
