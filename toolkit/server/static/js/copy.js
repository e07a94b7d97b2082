// What is to be copied: a click copies it, and says so.
function said(text) {
  document.getElementById("said").textContent = text;
}

export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea"); // no clipboard without TLS: the old way
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  said("Copied");
  button?.classList.add("copied");
  setTimeout(() => button?.classList.remove("copied"), 1200);
}

// A block of commands gets a button that copies it; without script it is only a block.
function buttons() {
  for (const block of document.querySelectorAll("pre[data-copy]:not([data-ready])")) {
    block.dataset.ready = "1";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain copy";
    button.textContent = "Copy";
    button.dataset.copyText = block.textContent;
    block.append(button);
  }
}

export function copying() {
  buttons();
  document.addEventListener("htmx:load", buttons);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy-text]");
    if (button) {
      copy(button.dataset.copyText, button);
    }
  });
}
