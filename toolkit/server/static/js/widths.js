// Widths of columns: dragged, or set by the arrows on a head's handle; they stand in the address, so views keep them.
const LEAST = 48;
const MOST = 1200;
const STEP = 16;
const sheet = new CSSStyleSheet();
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

const heads = () => [...document.querySelectorAll(".runs thead th[data-column]")];

function kept() {
  return new Map(
    new URLSearchParams(location.search).getAll("w").flatMap((text) => {
      const cut = text.indexOf("~");
      const width = Number(text.slice(0, cut));
      return cut > 0 && Number.isInteger(width) ? [[text.slice(cut + 1), Math.min(MOST, Math.max(LEAST, width))]] : [];
    }),
  );
}

function apply(widths = kept()) {
  const rules = heads().flatMap((head) => {
    const width = widths.get(head.dataset.column);
    if (!width) {
      return [];
    }
    const place = [...head.parentNode.children].indexOf(head) + 1;
    return [`.runs tr > :nth-child(${place}):not([colspan]) { width: ${width}px; min-width: ${width}px; max-width: ${width}px; overflow: hidden; text-overflow: ellipsis; }`];
  });
  sheet.replaceSync(rules.join("\n"));
}

function keep(column, width) {
  const widths = kept();
  if (width === null) {
    widths.delete(column);
  } else {
    widths.set(column, Math.round(Math.min(MOST, Math.max(LEAST, width))));
  }
  const query = new URLSearchParams(location.search);
  query.delete("w");
  const form = document.querySelector("form.filter");
  form?.querySelectorAll("input[name=w]").forEach((each) => each.remove());
  for (const [name, pixels] of widths) {
    query.append("w", `${pixels}~${name}`);
    const field = document.createElement("input"); // the next search keeps them too
    field.type = "hidden";
    field.name = "w";
    field.value = `${pixels}~${name}`;
    form?.append(field);
  }
  const text = query.toString();
  history.replaceState(history.state, "", text ? `?${text}` : location.pathname);
  apply(widths);
}

function said(handle, width) {
  handle.setAttribute("aria-valuenow", String(Math.round(width)));
  handle.setAttribute("aria-valuetext", `${Math.round(width)} pixels`);
}

function drag(handle, head, event) {
  event.preventDefault();
  const from = event.clientX;
  const before = head.getBoundingClientRect().width;
  handle.setPointerCapture(event.pointerId);
  const onMove = (each) => {
    const width = Math.min(MOST, Math.max(LEAST, before + each.clientX - from));
    apply(new Map([...kept(), [head.dataset.column, width]]));
    said(handle, width);
  };
  const onEnd = (each) => {
    handle.removeEventListener("pointermove", onMove);
    handle.removeEventListener("pointerup", onEnd);
    handle.removeEventListener("pointercancel", onEnd);
    if (Math.abs(each.clientX - from) > 2) {
      keep(head.dataset.column, before + each.clientX - from);
    }
  };
  handle.addEventListener("pointermove", onMove);
  handle.addEventListener("pointerup", onEnd);
  handle.addEventListener("pointercancel", onEnd);
}

function handles() {
  for (const head of heads()) {
    if (head.querySelector(".grip")) {
      continue;
    }
    const handle = document.createElement("span");
    handle.className = "grip";
    handle.tabIndex = 0;
    for (const [name, value] of [["role", "separator"], ["aria-orientation", "vertical"], ["aria-valuemin", LEAST], ["aria-valuemax", MOST], ["aria-label", `Width of ${head.dataset.column.slice(2)}`]]) {
      handle.setAttribute(name, value);
    }
    handle.title = "Drag, or use the arrows; a double click fits";
    said(handle, head.offsetWidth);
    handle.addEventListener("pointerdown", (event) => drag(handle, head, event));
    handle.addEventListener("dblclick", () => keep(head.dataset.column, null));
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
      if (step) {
        event.preventDefault();
        const width = Math.min(MOST, Math.max(LEAST, head.getBoundingClientRect().width + step));
        keep(head.dataset.column, width);
        said(handle, width);
      } else if (event.key === "Home") {
        event.preventDefault();
        keep(head.dataset.column, null);
      }
    });
    head.append(handle);
  }
  apply();
}

// With Shift a head sorts by one more key, after those that are there.
document.addEventListener("click", (event) => {
  const link = event.target.closest(".runs thead th[data-field] > a");
  if (!link || !event.shiftKey) {
    return;
  }
  event.preventDefault();
  const column = link.parentNode.dataset.column;
  const query = new URLSearchParams(location.search);
  const order = (query.get("sort") || "").split(",").filter(Boolean);
  const place = order.findIndex((each) => each.replace(/^-/, "") === column);
  if (place < 0) {
    order.push(column);
  } else if (order[place].startsWith("-")) {
    order.splice(place, 1);
  } else {
    order[place] = `-${column}`;
  }
  query.delete("after");
  query.delete("sort");
  if (order.length) {
    query.set("sort", order.join(","));
  }
  const text = query.toString();
  location.assign(text ? `?${text}` : location.pathname);
});

handles();
document.body.addEventListener("htmx:afterSettle", handles);
