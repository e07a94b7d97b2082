// The address says what is chosen, also what a script has changed in it: buttons keep that, and it is what is copied.
const form = document.getElementById("compare");

form?.addEventListener("submit", () => {
  const now = [...new URLSearchParams(location.search)].filter(([name]) => name !== "theme");
  form.replaceChildren(...now.map(([name, value]) => {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    field.value = value;
    return field;
  }));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy-address]");
  if (button) {
    button.dataset.copyText = location.href;
  }
}, { capture: true });
