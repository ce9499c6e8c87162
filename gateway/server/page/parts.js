// What the pages have in common. Text from outside (names of models, keys, prompts) only ever becomes text: nothing here
// writes HTML.
"use strict";

const NANO = 1e9;
const $ = (id) => document.getElementById(id);

// ------------------------------------------------------------------ words and numbers

const count = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Dollars as people read them; all nine digits after the point are in the title. */
function dollars(nanousd) {
  const usd = nanousd / NANO;
  const digits = usd === 0 || usd >= 100 ? 2 : usd >= 1 ? 3 : 6;
  return "$" + usd.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function exact(nanousd) {
  const whole = Math.floor(nanousd / NANO);
  return "$" + whole + "." + String(nanousd - whole * NANO).padStart(9, "0");
}

const share = (part, whole) => (whole > 0 ? ((100 * part) / whole).toFixed(part === whole || part === 0 ? 0 : 1) + "%" : "–");

// ------------------------------------------------------------------ elements

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function money(nanousd, id) {
  const attributes = { "data-nanousd": String(nanousd), title: exact(nanousd) };
  if (id) attributes.id = id;
  return make("span", attributes, dollars(nanousd));
}

/** Rows of cells; a cell is text, a node, or null. Columns: [heading, "word" or ""]. */
function fill(table, columns, rows, foot) {
  const line = (cell, cells) => make("tr", {}, ...cells.map((content, n) => make(cell, { class: columns[n][1] }, content ?? "–")));
  const parts = [make("thead", {}, line("th", columns.map(([heading]) => heading))), make("tbody", {}, ...rows.map((row) => line("td", row)))];
  if (foot) parts.push(make("tfoot", {}, line("td", foot)));
  if (!rows.length) parts[1].append(make("tr", {}, make("td", { class: "word quiet", colspan: String(columns.length) }, "nothing yet")));
  table.replaceChildren(...parts);
}

// ------------------------------------------------------------------ asking

/** What `path` answers, null where there is none of it (no ledger). */
async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(20000) });
  if (response.status === 401) location.reload(); // signed out, or a new key: to the form
  if (response.status === 404) return null;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error?.message ?? `${path}: ${response.status}`);
  return answer;
}
