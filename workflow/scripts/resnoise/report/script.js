"use strict";
(() => {
  // Sorting: every column heading of every table becomes a button.
  const number = (text) => {
    const found = text.replace("−", "-").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : NaN;
  };
  const key = (row, column) => {
    const cell = row.cells[column];
    return (cell.dataset.value ?? cell.textContent).trim();
  };
  const sort = (table, column, descending) => {
    const rows = [...table.tBodies[0].rows];
    const keys = new Map(rows.map((row) => [row, key(row, column)]));
    const filled = rows.filter((row) => keys.get(row) !== "");
    const numeric = filled.length > 0 && filled.every((row) => /^[-−+]?\.?\d/.test(keys.get(row)));
    const sign = descending ? -1 : 1;
    filled.sort((a, b) => sign * (numeric
      ? number(keys.get(a)) - number(keys.get(b))
      : keys.get(a).localeCompare(keys.get(b), "en", { numeric: true })));
    // Rows without a value stay at the end, whatever the direction.
    table.tBodies[0].append(...filled, ...rows.filter((row) => keys.get(row) === ""));
  };
  for (const tables of document.querySelectorAll(".tables")) {
    tables.querySelectorAll("table").forEach((table, index) => {
      const frame = document.createElement("div");
      frame.className = "scroll";
      frame.tabIndex = 0;
      frame.setAttribute("role", "region");
      frame.setAttribute("aria-label", `${tables.dataset.title}, part ${index + 1}`);
      table.replaceWith(frame);
      frame.append(table);
      table.classList.add("sortable");
    });
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.scope = "col";
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }

  // Filter of the claims.
  const form = document.querySelector(".filter");
  const rows = [...document.querySelectorAll(".claims tbody tr")];
  const nothing = document.querySelector(".nothing");
  const apply = () => {
    const chosen = new Set([...form.querySelectorAll(":checked")].map((box) => box.value));
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = `${row.textContent} ${row.id}`.toLowerCase();
      row.hidden = !chosen.has(row.dataset.verdict) || !chosen.has(row.dataset.kind)
        || !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    form.shown.value = `${shown} of ${rows.length} claims`;
    nothing.hidden = shown > 0;
  };
  const only = (wanted) => {
    for (const box of form.querySelectorAll("[type=checkbox]")) box.checked = wanted(box.value);
    form.words.value = "";
    apply();
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => only(() => true)));
  for (const card of document.querySelectorAll("[data-verdicts]")) {
    const wanted = new Set(`${card.dataset.verdicts} ${card.dataset.kinds}`.split(" "));
    card.addEventListener("click", () => only((value) => wanted.has(value)));
  }
  // At first only measured claims are shown; the others are one click away.
  const unmeasured = "not-measured-at-this-scale";
  const measured = rows.some((row) => row.dataset.verdict !== unmeasured);
  only((value) => !measured || value !== unmeasured);
  // A link to a hidden claim shows it.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.hidden) {
      only(() => true);
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Contents: closed at first on narrow screens, where they are above the text; the section on the
  // screen is marked.
  const contents = document.querySelector(".contents details");
  const wide = matchMedia("(min-width: 72rem)");
  const settle = () => { contents.open = wide.matches; };
  wide.addEventListener("change", settle);
  settle();
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) contents.open = false;
  });
  const links = new Map([...contents.querySelectorAll("a")].map((a) => [a.hash.slice(1), a]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) {
        link.classList.remove("here");
        link.removeAttribute("aria-current");
      }
      const link = links.get(entry.target.id);
      link.classList.add("here");
      link.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));

  // Zoom.
  const dialog = document.getElementById("zoomed");
  const stage = dialog.querySelector(".stage");
  let picture = null;
  let scale = 1;
  const fit = () => Math.min(stage.clientWidth / picture.naturalWidth, stage.clientHeight / picture.naturalHeight);
  const resize = (factor) => {
    scale = factor;
    picture.style.width = `${picture.naturalWidth * scale}px`;
  };
  for (const button of document.querySelectorAll(".zoom")) {
    button.addEventListener("click", () => {
      const image = button.querySelector("img");
      picture = new Image();
      picture.src = image.src;
      picture.alt = image.alt;
      stage.replaceChildren(picture);
      dialog.showModal();
      picture.decode().then(() => resize(fit()));
    });
  }
  dialog.addEventListener("click", (event) => {
    const step = event.target.dataset?.zoom;
    if (event.target.closest("[data-close]")) dialog.close();
    else if (step === "0") resize(fit());
    else if (step) resize(scale * 1.4 ** Number(step));
  });
})();
