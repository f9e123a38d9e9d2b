// Filters and sorts the claims; the page is whole without it. Rows are told by number: see `index` in html.py.
(() => {
  "use strict";
  const TASK = 0, PROPERTY = 1, BACKBONES = 2, RED = 3, KEYS = 4;
  const form = document.querySelector(".controls");
  const table = document.querySelector(".claims");
  if (!form || !table) return;
  const body = table.tBodies[0];
  const facts = JSON.parse(document.getElementById("index").textContent);
  const rows = [...body.rows].map((element, i) => ({ element, place: i, fact: facts[i], text: null }));
  const heads = [...table.tHead.querySelectorAll("button")];
  const count = form.querySelector("output");
  const fields = form.elements;
  let column = -1, descending = false;

  // What is searched, read once: all that a row shows, but not its evidence.
  const text = row => row.text ??= [...row.element.cells]
    .map(cell => [...cell.childNodes].filter(n => n.nodeName !== "DETAILS").map(n => n.textContent).join(" "))
    .join(" ").toLowerCase();
  const chosen = name => fields[name].value === "" ? null : Number(fields[name].value);

  function filter() {
    const task = chosen("task"), property = chosen("property"), backbone = chosen("backbone");
    const words = fields.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = (task === null || row.fact[TASK] === task)
        && (property === null || row.fact[PROPERTY] === property)
        && (backbone === null || row.fact[BACKBONES].includes(backbone))
        && (!fields.red.checked || row.fact[RED] === 1)
        && words.every(word => text(row).includes(word));
      if (row.element.hidden === fits) row.element.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} claims`;
  }

  function sort() {
    heads.forEach((head, i) => {
      const th = head.closest("th");
      if (i === column) th.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    });
    const key = row => column < 0 ? row.place : row.fact[KEYS][column];
    const order = [...rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === y) return a.place - b.place;
      if (x === null) return 1;
      if (y === null) return -1;
      return descending ? y - x : x - y;
    });
    body.append(...order.map(row => row.element));
  }

  const option = name => fields[name].selectedOptions[0].text;
  function remember() {
    const state = new URLSearchParams();
    for (const name of ["task", "property", "backbone"]) if (fields[name].value) state.set(name, option(name));
    if (fields.q.value) state.set("q", fields.q.value);
    if (fields.red.checked) state.set("failures", "only");
    if (column >= 0) state.set("sort", (descending ? "-" : "") + heads[column].textContent);
    history.replaceState(null, "", "#" + state);
  }

  function recall() {
    const state = new URLSearchParams(location.hash.slice(1));
    if (!["task", "property", "backbone", "q", "failures", "sort"].some(name => state.has(name))) return;
    for (const name of ["task", "property", "backbone"]) {
      const found = [...fields[name].options].find(each => each.value && each.text === state.get(name));
      fields[name].value = found ? found.value : "";
    }
    fields.q.value = state.get("q") ?? "";
    fields.red.checked = state.get("failures") === "only";
    const by = state.get("sort") ?? "";
    descending = by.startsWith("-");
    column = heads.findIndex(head => head.textContent === by.replace(/^-/, ""));
  }

  function place() {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {  // not an encoded text: it names no place
      return "";
    }
  }

  // A place that a link leads to is made visible: unfiltered, and its details open.
  function follow() {
    const name = place();
    if (/^r\d+$/.test(name)) show(document.getElementById("runs"));
    const target = document.getElementById(name);
    if (!target) return false;
    target.hidden = false;
    for (let at = target; at; at = at.parentElement) if (at.nodeName === "DETAILS") at.open = true;
    target.scrollIntoView();
    return true;
  }

  // Evidence and runs are text until somebody opens them, so that thousands stay light; of so many, evidence is packed.
  let unpacked = null;
  async function unpack() {
    const bytes = Uint8Array.from(atob(document.getElementById("packed").textContent), each => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }
  async function show(details) {
    const kept = details.querySelector("noscript");
    if (kept) kept.outerHTML = kept.textContent;
    const packed = details.dataset.packed;
    if (packed === undefined) return;
    delete details.dataset.packed;
    unpacked ??= unpack();
    details.insertAdjacentHTML("beforeend", (await unpacked)[packed]);
  }
  document.addEventListener("toggle", event => show(event.target), true);
  // On paper nothing can be opened: what is to be seen there is, and is closed again.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...body.querySelectorAll(".printed:not([hidden]) details:not([open])")];
    for (const details of opened) { show(details); details.open = true; }
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; opened = []; });
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { column = -1; sort(); filter(); remember(); }));
  heads.forEach((head, i) => head.addEventListener("click", () => {
    descending = i === column ? !descending : false;
    column = i;
    sort();
    remember();
  }));
  addEventListener("hashchange", () => { if (!follow()) { recall(); sort(); filter(); } });

  document.documentElement.classList.add("scripted");
  recall();
  if (column >= 0) sort();
  filter();
  follow();
})();
