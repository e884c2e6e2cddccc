"use strict";
// Sorts and filters the table. All data is in the page's attributes and text; none is in here.
(() => {
  const body = document.querySelector(".leaderboard tbody");
  const heads = [...document.querySelectorAll(".leaderboard thead th")];
  const rows = [...body.rows];
  const search = document.getElementById("search");

  const value = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };

  const sort = (column, descending) => {
    // Rows without a figure stay last; equal ones keep the order in which the page was written.
    const ordered = [...rows].sort((one, other) => {
      const [a, b] = [value(one, column), value(other, column)];
      if (a === null || b === null) return Number(a === null) - Number(b === null);
      return (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1);
    });
    body.append(...ordered);
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(column, now ? now === "ascending" : column > 0 && head.textContent !== "place");
    });
    head.replaceChildren(button);
  });

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("count").value = `${shown} of ${rows.length}`;
    document.getElementById("nothing").hidden = shown > 0;
  };

  document.getElementById("filters").hidden = false;
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", filter);
  filter();
})();
