"use strict";
// Filters and keys of the gallery. All data is in the page's attributes and text; none is in here.
(() => {
  const cards = [...document.querySelectorAll(".card")];
  const search = document.getElementById("search");
  const category = document.getElementById("category");
  const label = document.getElementById("label");
  const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));

  // Whether the card in focus was reached by keys. After a click on its text Space must go on
  // scrolling the page, not reveal what the reader did not ask for.
  let walking = false;

  const toggle = (button) => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const fits =
        (category.value === "*" || category.value === card.dataset.category) &&
        (label.value === "*" || label.value === card.dataset.label) &&
        words.every((word) => texts.get(card).includes(word));
      card.hidden = !fits;
      shown += Number(fits);
    }
    document.getElementById("count").value = `${shown} of ${cards.length}`;
    document.getElementById("nothing").hidden = shown > 0;
  };

  const move = (step) => {
    const visible = cards.filter((card) => !card.hidden);
    const here = visible.indexOf(document.activeElement.closest(".card"));
    const next = here < 0 ? 0 : Math.min(Math.max(here + step, 0), visible.length - 1);
    visible[next]?.focus();
    walking = true;
  };

  document.getElementById("filters").hidden = cards.length === 0;
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", filter);
  for (const choice of [category, label]) choice.addEventListener("change", filter);
  // A browser may restore the controls of an earlier visit.
  filter();

  document.getElementById("cards").addEventListener("click", (event) => {
    const button = event.target.closest(".reveal");
    if (button) toggle(button);
  });

  document.addEventListener("pointerdown", () => {
    walking = false;
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    } else if (event.key === "j") {
      move(1);
    } else if (event.key === "k") {
      move(-1);
    } else if (event.key === "Enter" || event.key === " ") {
      const button = walking && event.target.matches(".card") && event.target.querySelector(".reveal");
      if (button) {
        event.preventDefault();
        toggle(button);
      }
    }
  });
})();
