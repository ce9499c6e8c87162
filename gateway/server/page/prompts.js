// Prompts, their versions and what these cost, as the admin API tells it; what is changed here is asked for under /ui.
"use strict";

const AUTHOR = "status page";
let period = "day";
let prompt = null;

const path = (...parts) => "/admin/prompts" + parts.map((part) => "/" + encodeURIComponent(part)).join("");
const since = () => new Date(Date.now() - (period === "day" ? 1 : 7) * 86400000).toISOString();
const when = (iso) => new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** `3`, or `3 90%, 4 10% by user`. */
function pointing({ versions, sticky_by }) {
  if (versions.length === 1) return String(versions[0].version);
  const whole = versions.reduce((sum, arm) => sum + arm.weight, 0);
  return versions.map((arm) => `${arm.version} ${share(arm.weight, whole)}`).join(", ") + ` by ${sticky_by}`;
}

function button(words, act) {
  const element = make("button", { type: "button" }, words);
  element.addEventListener("click", act);
  return element;
}

/** Runs `work`, and tells what went wrong. */
async function attempt(work) {
  $("problem").hidden = true;
  try {
    await work();
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
  document.body.dataset.shown = String(Number(document.body.dataset.shown ?? 0) + 1);
}

// ------------------------------------------------------------------ all of them

let listed = [];

async function showPrompts(after) {
  const found = await ask(path() + (after ? "?after=" + encodeURIComponent(after) : ""));
  listed = [...(after ? listed : []), ...(found?.prompts ?? [])];
  const rows = listed.map((one) => [
    make("a", { href: "#" + encodeURIComponent(one.name) }, one.name), one.id, String(one.newest),
    Object.entries(one.labels).map(([label, at]) => `${label}: ${pointing(at)}`).join("; ") || null,
    one.archived_at ? "archived" : one.shadow ? `shadow of ${one.shadow.version}` : null,
  ]);
  fill($("prompts"), [["Prompt", "word"], ["Id", "word"], ["Newest", ""], ["Labels", "word"], ["State", "word"]], rows);
  $("more").hidden = !found?.next;
  $("more").onclick = () => attempt(() => showPrompts(found.next));
}

// ------------------------------------------------------------------ one of them

async function showOne() {
  const name = decodeURIComponent(location.hash.slice(1));
  $("one").hidden = !name;
  if (!name) return;
  prompt = await ask(path(name));
  if (!prompt) throw new Error(`There is no prompt '${name}'.`);
  const { versions } = await ask(path(name, "versions"));
  const numbers = versions.map((each) => each.version).reverse();
  const standing = prompt.labels.production?.versions ?? [];
  for (const [id, chosen] of [["before", standing[0]?.version], ["after", standing[1]?.version ?? prompt.newest]]) {
    const kept = $("one").dataset.name === name ? Number($(id).value) : 0;
    $(id).replaceChildren(...numbers.map((number) => make("option", {}, String(number))));
    $(id).value = String(kept || chosen || prompt.newest);
  }
  $("one").dataset.name = name;
  $("name").textContent = `${name} · ${prompt.id}`;
  showLabels();
  await Promise.all([showVersions(versions), showComparison()]);
}

function showLabels() {
  const rows = Object.entries(prompt.labels).map(([label, at]) => {
    const expected = at.versions.length === 1 ? { expected: at.versions[0].version } : {};
    return [label, pointing(at), button("Roll back", () => change(label, "rollback", expected))];
  });
  fill($("labels"), [["Label", "word"], ["Points at", "word"], ["", ""]], rows);
}

async function showVersions(versions) {
  const found = await ask(`${path(prompt.name, "figures")}?since=${since()}`);
  const served = new Map(found.versions.filter((each) => !each.is_shadow).map((each) => [each.version, each]));
  const shadows = new Map(found.versions.filter((each) => each.is_shadow).map((each) => [each.version, each]));
  const mean = (of, name) => of?.means[name]?.mean ?? null;
  const rows = versions.slice().reverse().map(({ version, created_at, author }) => {
    const of = served.get(version), cost = mean(of, "cost_nanousd"), took = mean(of, "duration_us"), out = mean(of, "output_tokens");
    const production = prompt.labels.production?.versions ?? [];
    const stands = production.length === 1 && production[0].version === version;
    return [
      String(version),
      stands ? make("span", { class: "quiet" }, "in production") : button("Activate", () => change("production", "activate", { version })),
      when(created_at), author,
      of ? count.format(of.requests) : null,
      of ? money(of.cost_nanousd) : null,
      cost === null ? null : dollars(cost),
      out === null ? null : out.toFixed(1),
      took === null ? null : `${(took / 1e6).toFixed(2)} s`,
      of?.answers ? share(of.failed, of.failed + of.answers) : null,
      of && of.up + of.down ? `${share(of.down, of.up + of.down)} of ${of.up + of.down}` : null,
      shadows.has(version) ? count.format(shadows.get(version).requests) : null,
    ];
  });
  fill($("versions"), [
    ["Version", "word"], ["", "word"], ["Pushed", "word"], ["By", "word"], ["Requests", ""], ["Spent", ""], ["An answer", ""], ["Tokens out", ""], ["Took", ""],
    ["Failed", ""], ["Thumbs down", ""], ["Shadow calls", ""],
  ], rows);
}

// ------------------------------------------------------------------ two versions

async function showComparison() {
  const [before, after] = ["before", "after"].map((id) => $(id).value);
  const { lines } = await ask(`${path(prompt.name, "diff")}?before=${before}&after=${after}`);
  $("text").replaceChildren(...lines.map(({ kind, text }) => make("span", { class: kind }, text + "\n")));
  const is_one = before === after;
  $("comparison").hidden = $("verdict").hidden = is_one;
  if (is_one) return;
  const { comparison } = await ask(`${path(prompt.name, "figures")}?since=${since()}&before=${before}&after=${after}`);
  $("verdict").textContent = comparison.verdict;
  const named = ({ version, is_shadow }) => version + (is_shadow ? " (shadow)" : "");
  const columns = [["", "word"], [named(comparison.before), ""], [named(comparison.after), ""], ["Difference", "word"]];
  fill($("comparison"), columns, comparison.lines.map((line) => [
    line.name, shown(line.unit, line.before, line.before_interval), shown(line.unit, line.after, line.after_interval), difference(line),
  ]));
}

const FORMS = {
  tokens: (n) => n.toFixed(1),
  usd: (n) => "$" + n.toFixed(6),
  seconds: (n) => n.toFixed(2) + " s",
  share: (n) => (100 * n).toFixed(1) + "%",
};

function shown(unit, value, interval) {
  if (value === null) return null;
  const form = FORMS[unit];
  return form(value) + (interval ? ` (${form(interval[0])} to ${form(interval[1])})` : "");
}

function difference({ verdict, unit, change, change_interval, more_before, more_after }) {
  if (verdict === "early") return "not enough yet: " + [more_before, more_after].filter(Boolean).map((n) => `${n} more`).join(" and ");
  if (verdict === "none") return "neither";
  if (!change_interval) return verdict;
  const points = (n) => (n > 0 ? "+" : "") + (100 * n).toFixed(1);
  const size = `${points(change)}${unit === "share" ? " points" : "%"} (${points(change_interval[0])} to ${points(change_interval[1])})`;
  return verdict === "same" ? `none seen: ${size}` : size;
}

// ------------------------------------------------------------------ changes

async function change(label, action, fields) {
  const words = action === "activate" ? `Point '${label}' of '${prompt.name}' at version ${fields.version}?` : `Roll '${label}' of '${prompt.name}' back?`;
  if (!confirm(words)) return;
  $("done").hidden = true;
  await attempt(async () => {
    const response = await fetch(["/ui/prompts", prompt.name, "labels", label, action].map((part, n) => (n ? encodeURIComponent(part) : part)).join("/"), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ author: AUTHOR, ...fields }), signal: AbortSignal.timeout(20000),
    });
    const answer = await response.json();
    await Promise.all([showPrompts(), showOne()]); // also where somebody else was faster
    if (!response.ok) throw new Error(answer.error?.message ?? String(response.status));
    $("done").textContent = `${prompt.name}: ${label} is ${pointing(answer)} now.`;
    $("done").hidden = false;
  });
}

for (const name of ["day", "week"]) {
  $(name).addEventListener("click", () => {
    period = name;
    for (const each of ["day", "week"]) $(each).setAttribute("aria-pressed", String(each === name));
    attempt(showOne);
  });
}
for (const id of ["before", "after"]) $(id).addEventListener("change", () => attempt(showComparison));
addEventListener("hashchange", () => attempt(showOne));
attempt(async () => {
  await showPrompts();
  await showOne();
});
