"use strict";
// Names and reasons are other people's words: they are set as text, never as markup.

const base = location.pathname.replace(/\/$/, "");
const $ = (selector, within = document) => within.querySelector(selector);
const table = $("table");
const rows = new Map(); // the <tbody> of each circuit, by name
let polls = []; // what rates are taken over, oldest first
let heard = Date.now() / 1000;

async function ask(path, options) {
  const reply = await fetch(base + path, {
    headers: { accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(5000),
    ...options,
  });
  const said = await reply.json().catch(() => ({}));
  if (!reply.ok) throw Error(said.detail ?? `status ${reply.status}`);
  return said;
}

async function poll() {
  try {
    show(await ask(""));
    for (const row of table.tBodies) if (isOpened(row)) await showMore(row);
    heard = Date.now() / 1000;
    set($("#trouble"), "");
  } catch ({ message }) {
    set($("#trouble"), `Cannot reach the proxy since ${clock(heard)} (${message}). The rest is from then.`);
    document.title = "unreachable – circuit breakers";
  }
}

async function keepPolling() {
  if (!document.hidden) await poll();
  setTimeout(keepPolling, 1000);
}

function show({ circuit_breakers: circuits, timestamp, version = "" }) {
  for (const circuit of circuits) if (circuit.enabled === false) circuit.state = "off";
  const byName = new Map(circuits.map((circuit) => [circuit.name, circuit]));
  polls = polls.filter((poll) => Math.abs(timestamp - poll.timestamp) < 6);
  polls.push({ timestamp, byName });
  for (const [name, row] of rows) {
    if (!byName.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
  const focused = document.activeElement;
  circuits.sort(byUrgency).forEach((circuit, place) => {
    const row = rows.get(circuit.name) ?? add(circuit.name);
    fill(row, circuit, timestamp);
    const there = table.tBodies[place];
    if (there !== row) table.insertBefore(row, there);
  });
  focused.focus({ preventScroll: true }); // what is moved loses it

  const count = (state) => circuits.filter((circuit) => circuit.state === state).length;
  set($("#summary"), ["open", "half-open", "closed"].map((state) => `${count(state)} ${state}`).join(", "));
  set($("small"), `fusebox ${version} at ${clock(timestamp)}`);
  document.title = `${count("open")} open – circuit breakers`;
}

function urgency({ mode, state, override }) {
  if (mode === "shadow") return state === "closed" ? 4 : 3;
  return { open: 0, "half-open": 1, off: 6 }[state] ?? (override ? 2 : 5);
}

const byUrgency = (a, b) =>
  urgency(a) - urgency(b) || b.failures - a.failures || a.name.localeCompare(b.name);

function add(name) {
  const row = $("template").content.firstElementChild.cloneNode(true);
  for (const cell of row.rows[0].cells) {
    cell.dataset.label = table.rows[0].cells[cell.cellIndex].textContent;
  }
  const button = $(".name", row);
  set($("bdi", button), name);
  button.onclick = () => {
    row.rows[1].hidden = isOpened(row);
    button.ariaExpanded = isOpened(row);
    showMore(row);
  };
  row.path = `/${encodeURIComponent(name)}`;
  $(".override", row).onclick = () => offer(name, row.path);
  rows.set(name, row);
  return row;
}

const isOpened = (row) => !row.rows[1].hidden;

function fill(row, circuit, now) {
  const { mode, state, override, requests } = circuit;
  const put = (selector, text) => {
    const node = $(selector, row);
    set(node, text);
    node.classList.toggle("nil", /^0( |$)/.test(text));
  };
  $(".state", row).dataset.state = state;
  put(".state span", state);
  put(".state small", (mode === "shadow" ? "shadow " : "") + (override ? "forced" : ""));
  put(".why bdi", override ? `until ${clock(override.until)}: ${override.reason}` : circuit.reason ?? "");
  const wait = override ? override.until - now : circuit.retry_after;
  put(".probe", { open: `in ${span(wait)}`, "half-open": "now" }[state] ?? "");
  put(".requests", rate(circuit, /^requests_total/));
  put(".failures", rate(circuit, /^failures_total/));
  const replaced = rate(circuit, /^fallback.*(?<!miss)$/);
  const rejected = rate(circuit, /^rejected/) + (replaced > 0 ? ` (${replaced} fell back)` : "");
  put(".rejected", mode === "shadow" ? `${rate(circuit, /^would_reject$/)} would be` : rejected);
  put(".failed", `${circuit.failures} / ${requests}`);
  put(".slow", `${circuit.slow} / ${requests}`);
}

// Per second, of the totals that are called so, together.
function rate(circuit, called) {
  const { timestamp, byName } = polls[0];
  const before = byName.get(circuit.name);
  const keys = Object.keys(circuit).filter((key) => called.test(key));
  const more = keys.reduce((sum, key) => sum + circuit[key] - before?.[key], 0);
  const rate = more / (polls.at(-1).timestamp - timestamp);
  // Not known yet, or the proxy has been started anew.
  if (!(rate >= 0)) return "–";
  return rate === 0 ? "0" : rate.toFixed(rate < 10 ? 1 : 0);
}

async function showMore(row) {
  const said = await ask(row.path).catch(({ message }) => ({ problem: message }));
  set($(".problem", row), said.problem ?? "");
  if (said.problem) return;
  const { transitions = [], last_failures = [], probes = [], policy, ...circuit } = said.circuit_breaker;
  const inRow = /^(state|enabled|mode|is_|retry|override)/;
  const facts = Object.entries(circuit).filter(([key, value]) => value !== null && !inRow.test(key));
  const lists = [
    facts.map(([key, value]) => [key.replaceAll("_", " "), /_(at|time)$/.test(key) ? when(value) : value]),
    transitions.map(({ at, from, to, reason }) => [when(at), `${from} → ${to}: ${reason ?? ""}`]).reverse(),
    last_failures.map(({ at, status, details }) => [when(at), `${status ?? "–"} ${details}`]).reverse(),
    probes.map(({ granted_at, stage }) => [when(granted_at), stage]),
  ];
  // No text can make up a line of its own.
  const line = ([label, text]) => `${label}\t${String(text).replace(/\s+/g, " ")}`;
  row.querySelectorAll("section p").forEach((node, at) => set(node, lists[at].map(line).join("\n")));
  set($("pre", row), policy ? JSON.stringify(policy, null, 2) : "");
}

// What has not changed is left alone, and with it what is selected there.
function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Swedes write times as ISO 8601 does.
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("sv");
const when = (seconds) => new Date(seconds * 1000).toLocaleString("sv");
const span = (seconds) => (seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

const dialog = $("dialog");
const form = $("form");

// Modal: a choice cannot end up at another circuit when rows move. The token stays in its field.
function offer(whom, path) {
  form.path = `${path}/override`;
  set($("#title"), `Override ${whom}`);
  set($(".problem", form), "");
  for (const choice of form.state) choice.checked = false;
  dialog.showModal();
}

form.onsubmit = async (event) => {
  event.preventDefault();
  const reason = encodeURIComponent(form.reason.value);
  const force = `?state=${form.state.value}&for=${form.for.value}&reason=${reason}`;
  const [method, query] = event.submitter === form.end ? ["DELETE", ""] : ["PUT", force];
  try {
    await ask(form.path + query, { method, headers: { authorization: `Bearer ${form.token.value}` } });
    dialog.close();
  } catch ({ message }) {
    set($(".problem", form), message);
  }
};
form.cancel.onclick = () => dialog.close();
$("#all").onclick = () => offer("all circuits", "/%2A");
keepPolling();
