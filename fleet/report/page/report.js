// Sorting and filtering of the table; without it the page shows the same rows in the order it was written with.
(() => {
  "use strict";
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const filter = document.getElementById("filter");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const words = new Intl.Collator("en", { numeric: true });

  const key = (row, column, numeric) => {
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent;
    return numeric ? Number(text) : text;
  };

  const sort = (header) => {
    const column = header.cellIndex;
    const numeric = header.dataset.sort === "number";
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [key(row, column, numeric), row]);
    const ahead = numeric ? (a, b) => a - b : words.compare;
    keyed.sort(([a], [b]) => (down ? ahead(b, a) : ahead(a, b)));
    body.replaceChildren(...keyed.map(([, row]) => row));
  };

  let texts = null; // what is searched of each row, made when first wanted
  const narrow = () => {
    texts ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const wanted = filter.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !(texts.get(row).includes(wanted) && (!state.value || row.dataset.state === state.value));
      count += !row.hidden;
    }
    const all = rows.length.toLocaleString("en");
    const nodes = rows.length === 1 ? "node" : "nodes";
    shown.textContent = count === rows.length ? `${all} ${nodes}` : `${count.toLocaleString("en")} of ${all} ${nodes}`;
  };

  for (const header of table.tHead.rows[0].cells) {
    if (!header.dataset.sort) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(header));
    header.replaceChildren(button);
  }
  filter.addEventListener("input", narrow);
  state.addEventListener("change", narrow);
  document.querySelector(".controls").hidden = false;
})();
