// Decoded columns -> what painting and hit-testing ask: marks by row, rows in units of the y axis, counts.
// Knows no pixels and no clock. Marks arrive sorted by start, so within a row they stay sorted.

import palette from "./palette.js"

export const STATUS = palette.statuses
export const RUNNING = STATUS.indexOf("running")
const CALL_STATUS = ["queued", "running", "backing_off", "answered", "failed", "cancelled", "not_sent"]

export function build({ header, columns }) {
  const sections = laidOut(header.sections)
  const last = sections[sections.length - 1]
  const rows = last.first + last.count
  const model = {
    header, sections, rows,
    col: columns,
    size: columns.start.length,
    units: last.y + last.count * last.scale,
    marks: byRow(columns.row, rows),
    open: [],
    callAtRow: null,
    waits: null,
  }
  for (let i = 0; i < model.size; i++) if (Number.isNaN(columns.end[i])) model.open.push(i)
  if (header.rows) {
    model.callAtRow = inverse(columns.row_of)
    model.waits = byRow(columns.wait_call, header.prompts)
  }
  model.reused = reused(model)
  model.typical_s = typical(columns.end)
  model.counts = counted(model)
  return model
}

// Sections one below the other; a gap of a few per cent between them.
function laidOut(sections) {
  const units = sections.reduce((sum, each) => sum + each.count * each.scale, 0)
  let y = 0
  let first = 0
  return sections.map((each) => {
    const placed = { ...each, first, y }
    first += each.count
    y += each.count * each.scale + Math.max(0.4, units * 0.05)
    return placed
  })
}

// Counting sort: `at[r]..at[r + 1]` are the places in `index` of the entries of row r, in their own order.
function byRow(row, rows) {
  const at = new Uint32Array(rows + 1)
  for (let i = 0; i < row.length; i++) at[row[i] + 1]++
  for (let r = 0; r < rows; r++) at[r + 1] += at[r]
  const next = at.slice(0, rows)
  const index = new Uint32Array(row.length)
  for (let i = 0; i < row.length; i++) index[next[row[i]]++] = i
  return { at, index }
}

// By call: whether it has an answer that was not sent for, and so no bar.
function reused(model) {
  const found = Uint8Array.from(model.col.call_status, (status) => CALL_STATUS[status] === "answered")
  for (let i = 0; i < model.size; i++) if (!isBaseline(model, i)) found[model.col.call[i]] = 0
  return found
}

// Whose answer such a call has.
export function originOf(model, call) {
  const at = model.col.origin?.[call] ?? -1
  if (at === -1) return "reused"
  return at >= 0 ? `${model.header.shares}${at + 1}` : model.header.origins[-2 - at]
}

function inverse(row) {
  const call = new Uint32Array(row.length)
  for (let i = 0; i < row.length; i++) call[row[i]] = i
  return call
}

// The median length of a bar, from at most 500 of them.
function typical(lengths) {
  const step = Math.max(1, Math.floor(lengths.length / 500))
  const some = []
  for (let i = 0; i < lengths.length; i += step) if (!Number.isNaN(lengths[i])) some.push(lengths[i])
  some.sort((a, b) => a - b)
  return some.length ? some[some.length >> 1] : Infinity
}

function counted(model) {
  const { header } = model
  const { status, first, row, call_status, wait_kind, hold } = model.col
  const main = model.sections[model.sections.length - 1].first
  const counts = { first_token: 0, waiting: 0, backoff: 0 }
  for (const name of STATUS) counts[name] = 0
  for (let i = 0; i < model.size; i++) {
    if (row[i] < main) continue // the baseline's bars are not this run's
    counts[STATUS[status[i]]]++
    if (!Number.isNaN(first[i])) counts.first_token++
  }
  for (let c = 0; c < call_status.length; c++) {
    if (CALL_STATUS[call_status[c]] === "queued") counts.waiting++
    if (CALL_STATUS[call_status[c]] === "backing_off") counts.backoff++
  }
  counts.held = { waiting: false, quota: false }
  for (const code of new Set(hold)) counts.held[header.held_looks[code]] = true
  counts.anyWait = Boolean(wait_kind && wait_kind.length)
  counts.anyBackoff = Boolean(wait_kind && wait_kind.includes(1))
  return counts
}

export function sectionOf(model, row) {
  const { sections } = model
  return sections.length > 1 && row < sections[1].first ? sections[0] : sections[sections.length - 1]
}

// The row's upper edge in units of the y axis; its height is the section's scale.
export function rowTop(model, row) {
  const section = sectionOf(model, row)
  return section.y + (row - section.first) * section.scale
}

// The row at a height of the y axis, or -1 in a gap and outside.
export function rowAt(model, y) {
  for (const section of model.sections) {
    const row = Math.floor((y - section.y) / section.scale)
    if (row >= 0 && row < section.count) return section.first + row
  }
  return -1
}

export function isBaseline(model, mark) {
  return sectionOf(model, model.col.row[mark]).kind === "baseline"
}

export function endOf(model, mark, now) {
  const length = model.col.end[mark]
  return Number.isNaN(length) ? Math.max(now, model.col.start[mark]) : model.col.start[mark] + length
}

// Place in `marks.index` of the first mark of a row that ends after `t`: in a row nothing overlaps.
export function firstFrom(model, row, t) {
  const { at, index } = model.marks
  const { start } = model.col
  let low = at[row]
  let high = at[row + 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (start[index[middle]] <= t) low = middle + 1
    else high = middle
  }
  return Math.max(at[row], low - 1)
}
