// Shows what the admin API answers, every few seconds while somebody looks.
"use strict";

const EVERY_MS = 5000;
let period = "today";
let last = null;

// ------------------------------------------------------------------ numbers and bars

/** As somebody wrote it: 0.05, 250. */
const round = (usd) => "$" + usd.toLocaleString("en", { maximumFractionDigits: 6 });

const saved = (sums) => sums.saved_cache_nanousd + sums.saved_coalesced_nanousd + sums.saved_tier_nanousd + sums.saved_trim_nanousd;

function bar(className, part, whole) {
  const piece = make("span", { class: className });
  piece.style.width = (whole > 0 ? Math.max(0, Math.min(100, (100 * part) / whole)) : 0) + "%";
  return piece;
}

// ------------------------------------------------------------------ what is shown

function card(title, now, week) {
  return make("dl", {}, make("dt", {}, title), make("dd", { class: "now" }, now), make("dd", { class: "week" }, week, " this week"));
}

function showMoney({ today, week }) {
  const day = today.total, all = week.total;
  $("cards").replaceChildren(
    card("Spent today", money(day.cost_nanousd, "spent-today"), money(all.cost_nanousd, "spent-week")),
    card("Saved today", money(saved(day), "saved-today"), money(saved(all), "saved-week")),
    card("Share saved", share(saved(day), saved(day) + day.cost_nanousd), share(saved(all), saved(all) + all.cost_nanousd)),
    card("By the cache", money(day.saved_cache_nanousd + day.saved_coalesced_nanousd), money(all.saved_cache_nanousd + all.saved_coalesced_nanousd)),
    card("By the cheap tier", money(day.saved_tier_nanousd), money(all.saved_tier_nanousd)),
    card("Cache hits", share(day.hits, day.cacheable), share(all.hits, all.cacheable)),
    card("Requests", count.format(day.requests), count.format(all.requests)),
    card("Failed, refused", `${count.format(day.failed)}, ${count.format(day.refused)}`, `${count.format(all.failed)}, ${count.format(all.refused)}`),
  );
}

function split(tiers) {
  const cheap = tiers.cheap ?? 0, dear = tiers.expensive ?? 0;
  if (!cheap && !dear) return null;
  const title = `${count.format(cheap)} cheap, ${count.format(dear)} expensive`;
  return make("span", { title }, make("span", { class: "split" }, bar("cheap", cheap, cheap + dear), bar("dear", dear, cheap + dear)), share(cheap, cheap + dear));
}

function showRoutes(overview) {
  const { total, routes } = overview[period];
  const cheap = make("span", {}, make("span", { class: "key cheap" }), "cheap", make("span", { class: "key dear" }), "expensive");
  const columns = [["Route", "word"], ["Spent", ""], ["Saved", ""], ["Requests", ""], ["Cache hits", ""], [cheap, "word"], ["Tokens in", ""], ["Tokens out", ""]];
  const cells = (sums, tiers) => [
    money(sums.cost_nanousd), money(saved(sums)), count.format(sums.requests), share(sums.hits, sums.cacheable), split(tiers),
    short.format(sums.input_tokens), short.format(sums.output_tokens),
  ];
  const rows = routes.map((sums) => [sums.route === "none" ? "no route" : sums.route, ...cells(sums, sums.tiers)]);
  const tiers = {};
  for (const route of routes) for (const [tier, n] of Object.entries(route.tiers)) tiers[tier] = (tiers[tier] ?? 0) + n;
  fill($("routes"), columns, rows, rows.length ? ["all", ...cells(total, tiers)] : null);
}

function showBudgets(budgets) {
  if (!budgets.length) {
    $("budgets").replaceChildren(make("p", { class: "quiet" }, "No budgets are configured."));
    return;
  }
  const amount = (unit, n) => (unit === "usd" ? dollars(Math.round(n * NANO)) : short.format(n));
  const bound = (unit, n) => (unit === "usd" ? round(n) : short.format(n) + " tokens");
  const every = { hour: "an hour", day: "a day", month: "a month", total: "in all" };
  $("budgets").replaceChildren(...budgets.map((budget) => {
    const limit = budget.limit ?? budget.cheap_from;
    const used = budget.spent + budget.reserved;
    return make("div", { class: "budget" },
      make("div", { class: "names" },
        make("span", {}, `${budget.scope.replace(":", " ")}, ${every[budget.per]}`),
        make("span", { class: used >= limit ? "bad" : "quiet" }, `${amount(budget.unit, used)} of ${bound(budget.unit, limit)}`)),
      make("div", { class: used >= limit ? "track over" : "track" }, bar("spent", budget.spent, limit), bar("reserved", budget.reserved, limit)));
  }));
}

/** Processes see for themselves: counts add up, and a target is as bad as the worst of them finds it. */
function showUpstreams(processes) {
  const all = new Map();
  for (const { upstreams } of processes) {
    for (const upstream of upstreams) {
      const sum = all.get(upstream.name) ?? { in_flight: 0, connections: 0, good: 0, bad: 0, held: new Set() };
      sum.in_flight += upstream.in_flight;
      sum.connections += upstream.connections;
      for (const target of upstream.targets) {
        sum.good += target.succeeded;
        sum.bad += target.failed;
        if (target.breaker !== "closed") sum.held.add(target.model);
      }
      all.set(upstream.name, sum);
    }
  }
  const rows = [...all].map(([name, sum]) => {
    const health = sum.held.size
      ? make("span", { class: "bad" }, "held off: " + [...sum.held].join(", "))
      : sum.bad ? `${sum.bad} failed lately` : "well";
    return [name, health, count.format(sum.in_flight), count.format(sum.connections)];
  });
  fill($("upstreams"), [["Upstream", "word"], ["Health", "word"], ["Under way", ""], ["Connections", ""]], rows);
}

function showRequests(requests) {
  const columns = [["Time", "word"], ["Route", "word"], ["Cost", ""], ["Saved", ""], ["Status", ""], ["Cache", "word"], ["Answered by", "word"], ["Key", "word"], ["In", ""], ["Out", ""], ["Took", ""]];
  fill($("requests"), columns, requests.map((one) => [
    make("span", { title: one.request_id }, new Date(one.at_ms).toLocaleTimeString("en-GB")),
    one.route,
    one.price_unknown ? make("span", { class: "bad", title: "no known price: add the model under prices" }, "unknown") : one.cost_nanousd ? money(one.cost_nanousd) : null,
    one.saved_nanousd ? money(one.saved_nanousd) : null,
    make("span", one.status >= 400 ? { class: "bad", title: one.rejected ?? "" } : {}, String(one.status)),
    one.cache, one.target, one.key,
    one.input_tokens === null ? null : count.format(one.input_tokens),
    one.output_tokens === null ? null : count.format(one.output_tokens),
    one.duration_us < 1e6 ? `${(one.duration_us / 1000).toFixed(one.duration_us < 1e4 ? 1 : 0)} ms` : `${(one.duration_us / 1e6).toFixed(1)} s`,
  ]));
}

function showStatus(status) {
  const n = status.processes.length;
  const up = Math.max(...status.processes.map((process) => process.uptime_s));
  const age = up < 3600 ? `${Math.floor(up / 60)} min` : up < 172800 ? `${Math.floor(up / 3600)} h` : `${Math.floor(up / 86400)} days`;
  $("status").textContent = status.status;
  $("status").className = status.status === "ready" ? "pill" : "pill off";
  $("about").textContent = `${status.version} · ${n} ${n === 1 ? "process" : "processes"} · up ${age} · ${new Date().toLocaleTimeString("en-GB")}`;
}

// ------------------------------------------------------------------ again and again

const PARTS = [
  ["/admin/status", showStatus],
  ["/admin/overview", (answer) => {
    last = answer;
    if (!answer) { $("cards").replaceChildren(make("p", { class: "quiet" }, "There is no ledger: set `ledger` to see what is spent.")); return; }
    $("reading").hidden = answer.is_complete;
    showMoney(answer);
    showRoutes(answer);
  }],
  ["/admin/budgets", (answer) => showBudgets(answer?.budgets ?? [])],
  ["/admin/upstreams", (answer) => showUpstreams(answer?.processes ?? [])],
  ["/admin/requests?limit=25", (answer) => showRequests(answer?.requests ?? [])],
];

async function refresh() {
  const problems = [];
  await Promise.all(PARTS.map(async ([path, show]) => {
    try {
      show(await ask(path));
    } catch (error) {
      problems.push(error.message);
    }
  }));
  $("problem").textContent = problems.join(" ");
  $("problem").hidden = !problems.length;
  document.body.dataset.refreshed = String(Number(document.body.dataset.refreshed ?? 0) + 1);
}

for (const name of ["today", "week"]) {
  $(name).addEventListener("click", () => {
    period = name;
    for (const each of ["today", "week"]) $(each).setAttribute("aria-pressed", String(each === name));
    if (last) showRoutes(last);
  });
}

async function run() {
  if (!document.hidden) await refresh();
  setTimeout(run, EVERY_MS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
run();
