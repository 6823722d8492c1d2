// A click on the head of a table sorts it; another one turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.order !== "down";
    heads.forEach(other => delete other.dataset.order);
    head.dataset.order = down ? "down" : "up";
    const key = row => {
      const cell = row.cells[column];
      return cell.dataset.key === undefined ? cell.textContent : Number(cell.dataset.key);
    };
    const before = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    const rows = [...table.tBodies[0].rows].sort((a, b) => before(key(a), key(b)) * (down ? -1 : 1));
    table.tBodies[0].append(...rows);
  }));
}
