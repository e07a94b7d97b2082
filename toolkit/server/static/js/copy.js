// What is to be copied: a click copies it, and says so.
function said(text) {
  document.getElementById("said").textContent = text;
}

async function copy(text, button) {
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
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
}

export function copying() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy-text]");
    if (button) {
      copy(button.dataset.copyText, button);
    }
  });
}
