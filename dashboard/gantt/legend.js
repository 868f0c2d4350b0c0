// The legend: what is on the chart, with counts; a click hides or shows it. Buttons of the page, not Plotly's: they wrap
// on a phone, can be reached by keyboard and cost nothing at an update.

import { count } from "./format.js"
import { isFlat } from "./paint.js"
import { hatchOf } from "./hatch.js"
import palette from "./palette.js"
import { element } from "./tip.js"
import { rowPixels } from "./view.js"

// What a legend names: only what is there; the tint and waits that are over have no count.
export function present(model, view) {
  const { counts, header } = model
  const entries = []
  for (const name of Object.keys(palette.looks)) {
    if (name === "waiting" || name === "quota" || name === "backoff") {
      if (isDrawn(model, view, name)) entries.push({ name, total: header.live ? counts[name] || null : null })
    } else if (name === "first_token" && isFlat(model, view) && !header.live) {
      continue // no bar shows it at this zoom
    } else if (counts[name]) {
      entries.push({ name, total: name === "first_token" ? null : counts[name] })
    }
  }
  return entries
}

// Waits lie in rows that are not too thin, and in the strip.
function isDrawn({ counts, header }, view, name) {
  const inRows = header.rows && rowPixels(view, 1) >= 3
  if (name === "backoff") return counts.anyBackoff && inRows
  return (name === "waiting" ? counts.anyWait && inRows : false) || counts.held[name]
}

export class Legend {
  constructor(changed) {
    this.box = element("div", "", "fo-legend")
    this.changed = changed
    this.shape = ""
  }

  write(model, view, hidden) {
    const entries = present(model, view)
    const shape = `${view.dark} ${view.theme.page} ${model.header.run} ${entries.map(({ name }) => name).join()}`
    if (shape !== this.shape) {
      this.shape = shape
      this.box.replaceChildren(...entries.map(({ name }) => this.entry(name, view, hidden)))
    }
    entries.forEach(({ name, total }, place) => {
      const entry = this.box.children[place]
      const words = total === null ? "" : count(total)
      if (entry.lastChild.textContent !== words) entry.lastChild.textContent = words
      entry.setAttribute("aria-pressed", String(!hidden.has(name)))
    })
  }

  entry(name, view, hidden) {
    const entry = element("button")
    entry.type = "button"
    entry.title = "Show or hide"
    entry.dataset.look = name
    entry.append(swatch(name, view), element("span", palette.looks[name].word), element("span", "", "fo-count"))
    entry.disabled = name === "first_token"
    entry.onclick = () => {
      if (!hidden.delete(name)) hidden.add(name)
      entry.setAttribute("aria-pressed", String(!hidden.has(name)))
      this.changed()
    }
    return entry
  }
}

function swatch(name, view) {
  const canvas = element("canvas")
  canvas.setAttribute("aria-hidden", "true")
  canvas.width = 16 * view.dpr
  canvas.height = 10 * view.dpr
  const ctx = canvas.getContext("2d")
  ctx.scale(view.dpr, view.dpr)
  ctx.fillStyle = view.colours[name]
  ctx.fillRect(0, 0, 16, 10)
  const hatch = hatchOf(ctx, { ...view, x: null }, name)
  if (hatch) {
    ctx.fillStyle = hatch
    ctx.fillRect(0, 0, 16, 10)
  }
  return canvas
}
