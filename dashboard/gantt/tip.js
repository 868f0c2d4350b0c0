// What a mark says: as lines for the tooltip and as one sentence for a screen reader. Prompts and errors are hostile:
// they are only ever set as textContent.

import palette from "./palette.js"
import { count, duration, instant } from "./format.js"
import { STATUS, endOf, isBaseline, originOf, sectionOf } from "./model.js"
import { heldFor, holdAt, lastUpTo } from "./strip.js"

const CALL_WORDS = {
  queued: "waiting", backing_off: "backing off", not_sent: "not sent", running: "in flight",
}
const CALL_STATUS = ["queued", "running", "backing_off", "answered", "failed", "cancelled", "not_sent"]

// {title, prompt, facts: [[term, text]], error} of a hit; null where there is nothing to say.
export function wordsOf(model, hit, texts, now) {
  if (hit === null) return null
  if (hit.step !== undefined) return stepWords(model, hit.step, now)
  if (hit.hold !== undefined) return holdWords(model, hit.hold, now)
  if (hit.mark !== undefined) return markWords(model, hit.mark, texts, now)
  return callWords(model, hit.call, texts, now)
}

function markWords(model, i, texts, now) {
  const { call, number, status, error } = model.col
  const word = palette.looks[STATUS[status[i]]].word
  const beside = isBaseline(model, i)
  return {
    title: `#${call[i] + 1} ${word}${beside ? ", one at a time" : ""}`,
    prompt: promptOf(texts, call[i]),
    facts: [
      ...phases(model, i, now),
      ["attempt", String(number[i])],
      ...(beside ? [] : tokens(model, call[i], STATUS[status[i]])),
      ...lane(model, i),
      ["started at", instant(model.col.start[i])],
    ],
    error: error[i] ? model.header.errors[error[i] - 1] : "",
  }
}

function lane(model, i) {
  const section = sectionOf(model, model.col.row[i])
  return section.kind === "lanes" ? [["worker", String(model.col.row[i] - section.first + 1)]] : []
}

// The attempt's phases, without gap or overlap; where no first token came, in flight is one phase.
function phases(model, i, now) {
  const { sent, first, received, end, start } = model.col
  const over = Number.isNaN(end[i])
  const until = over ? endOf(model, i, now) - start[i] : end[i]
  const got = Number.isNaN(received[i]) ? until : received[i]
  const facts = []
  if (first[i] >= 0) {
    facts.push(["first token after", duration(first[i] - sent[i])])
    facts.push([over ? "generating for" : "generating", duration(got - first[i])])
  } else if (sent[i] >= 0) {
    facts.push([over ? "in flight for" : "in flight", duration(got - sent[i])])
  }
  const client = until - (got - (sent[i] >= 0 ? sent[i] : got))
  if (client >= 0.001) facts.push(["client", duration(client)])
  return facts
}

function tokens(model, call, status) {
  if (status !== "answered") return []
  const [given, made] = [model.col.input_tokens[call], model.col.output_tokens[call]]
  if (given < 0 && made < 0) return []
  const shown = (value) => (value < 0 ? "–" : count(value))
  return [["tokens", `${shown(given)} in, ${shown(made)} out`]]
}

function callWords(model, call, texts, now) {
  const status = CALL_STATUS[model.col.call_status[call]]
  const facts = []
  if (model.waits && !model.reused[call]) {
    for (let k = model.waits.at[call]; k < model.waits.at[call + 1]; k++) {
      const i = model.waits.index[k]
      const open = Number.isNaN(model.col.wait_for[i])
      const from = model.col.wait_from[i]
      const to = open ? Math.max(now, from) : from + model.col.wait_for[i]
      if (model.col.wait_kind[i]) facts.push(["backing off", duration(to - from)])
      else facts.push(...heldIn(model, from, to))
    }
  }
  const word = model.reused[call] ? originOf(model, call) : (CALL_WORDS[status] ?? status)
  return { title: `#${call + 1} ${word}`, prompt: promptOf(texts, call), facts, error: "" }
}

// What a wait waited for, and how long for each; in no hold at all it was for a worker.
function heldIn(model, from, to) {
  const lengths = new Map()
  for (const [code, length] of heldFor(model, from, to)) {
    const name = model.header.held[code]
    lengths.set(name, (lengths.get(name) ?? 0) + length)
  }
  return [...lengths].map(([name, length]) => [name, duration(length)])
}

function holdWords(model, at, now) {
  const hold = at <= now ? holdAt(model, at, now) : null
  if (hold === null) return null
  const facts = [[hold.words, duration(hold.to - hold.from)], ["since", instant(hold.from)]]
  return { title: "The next call", prompt: "", facts, error: "" }
}

function stepWords(model, at, now) {
  if (at < 0 || at > now) return null
  const value = (times, values) => values[lastUpTo(times, at)] ?? null
  const { flight_at, flight, limit_at, limit, beside_at, beside } = model.col
  const facts = [["in flight", String(value(flight_at, flight) ?? 0)]]
  if (beside_at) facts.push(["one at a time", String(value(beside_at, beside) ?? 0)])
  const most = value(limit_at, limit)
  if (most !== null) facts.push(["max_workers", String(most)])
  const moved = model.header.moves.findLast((move) => move.at_s <= at)
  if (moved) facts.push(["moved from", moved.words], ["at", instant(moved.at_s)])
  if (moved?.why) facts.push(["why", moved.why])
  return { title: `at ${instant(at)}`, prompt: "", facts, error: "" }
}

// The first 80 characters of a prompt; a long prefix that all prompts share gives way to an ellipsis.
export function promptOf(texts, call) {
  if (!texts || texts.lines[call] === undefined) return ""
  const { prefix, lines } = texts
  if (!prefix) return lines[call]
  if (prefix.length > 40) return `…${lines[call]}`
  const whole = `${prefix} ${lines[call]}`
  return whole.length > 80 ? `${whole.slice(0, 80).trimEnd()}…` : whole
}

export function sentence({ title, prompt, facts, error }) {
  const told = facts.map(([term, text]) => `${term} ${text}`).join(", ")
  return `Call ${title}. ${told}. ${prompt ? `Prompt: ${prompt}. ` : ""}${error}`.trim()
}

export function fill(tip, { title, prompt, facts, error }) {
  const list = element("dl", "")
  for (const [term, text] of facts) list.append(element("dt", term), element("dd", text))
  const parts = [element("strong", title)]
  if (prompt) parts.push(element("p", prompt, "fo-prompt"))
  if (facts.length) parts.push(list)
  if (error) parts.push(element("p", error, "fo-error"))
  tip.replaceChildren(...parts)
}

export function element(name, text, className) {
  const made = document.createElement(name)
  if (text) made.textContent = text
  if (className) made.className = className
  return made
}

// Beside the pointer, inside the frame.
export function place(tip, frame, x, y) {
  const { offsetWidth: wide, offsetHeight: high } = tip
  const left = x + 14 + wide <= frame.clientWidth ? x + 14 : Math.max(0, x - 14 - wide)
  const top = y + 14 + high <= frame.clientHeight ? y + 14 : Math.max(0, y - 14 - high)
  tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`
}
