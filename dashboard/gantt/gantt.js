// The live Gantt's entry: Streamlit calls the default export at each change of data or theme. One Chart per element.
// Owns the DOM, the listeners and the clock; decoding, geometry, painting, hits and words are pure and lie beside it.

import { unpackShown, unpackTexts } from "./decode.js"
import { layoutOf, heights, lastTick, tracesOf } from "./figure.js"
import { find, hitAt, marksOf, nameOf, stepFrom } from "./hit.js"
import { build } from "./model.js"
import { Legend } from "./legend.js"
import { isLoaded, load } from "./load.js"
import { paintMoving, paintStill } from "./paint.js"
import { download, picture } from "./save.js"
import { element, fill, place, sentence, wordsOf } from "./tip.js"
import { lookOf, rowPixels, viewOf } from "./view.js"

const CLICK_WAIT_MS = 300 // a double-click zooms out: it must not count as a click as well
const FRAME_MS = 80 // between two steps of the clock: smooth enough for a bar, and cheap
const TRUSTED_MS = 4_000 // without news for so long, the clock stops: nobody knows what goes on
const NARROW = 600

const charts = new WeakMap() // by parent element: its Chart
const memories = new Map() // by run id: zoom, hidden looks, selection; they outlive an element
const texts = new Map() // by run id: the prompts' first words
let clicks = 0 // numbers them, as Streamlit may hand one over twice

export default function show({ data, parentElement, setTriggerValue }) {
  let chart = charts.get(parentElement)
  if (!chart) charts.set(parentElement, (chart = new Chart(parentElement)))
  const turn = chart.update(data, setTriggerValue)
  // Streamlit may call an older call's cleanup while the element lives: only the newest one counts.
  return () => {
    if (chart.turn === turn) {
      charts.delete(parentElement)
      chart.close()
    }
  }
}

// Fetches and reads Plotly (a second of work) while somebody still writes prompts, so that the first chart is there at once.
export function early() {
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 200))
  idle(() => load())
}

export function remember(data) {
  const told = unpackTexts(data)
  keep(texts, told.run, told)
  for (const chart of open) if (chart.model?.header.run === told.run) chart.paint()
}

const open = new Set()

function keep(map, key, value) {
  map.set(key, value)
  if (map.size > 50) map.delete(map.keys().next().value)
  return value
}

class Chart {
  constructor(parent) {
    this.turn = 0
    this.model = null
    this.view = null
    this.down = null // where the pointer went down
    this.pointer = null // where it is, within the plot
    this.cursor = null // the name of the mark that the keyboard stands on
    this.chosen = undefined // the selection Python last asked for
    this.clickTimer = 0
    this.frame = 0
    this.reacting = null // Plotly's promise for the last update
    this.waiting = false // an update came while it could not be drawn
    this.closed = false
    this.costs = { react: 0, decode: 0, paint: 0, updates: 0 }
    this.build(parent)
    this.listen()
    open.add(this)
  }

  build(parent) {
    this.root = element("div", "", "fo-gantt")
    this.root.tabIndex = 0
    this.root.setAttribute("role", "group")
    this.root.setAttribute("aria-roledescription", "timeline chart")
    this.legend = new Legend(() => this.paint())
    this.frameBox = element("div", "", "fo-frame")
    this.plot = element("div", "", "fo-plot")
    this.note = element("p", "Loading the chart.", "fo-note")
    this.tip = element("div", "", "fo-tip")
    this.tip.hidden = true
    this.says = element("div", "", "fo-says")
    this.says.setAttribute("aria-live", "polite")
    this.still = element("canvas", "", "fo-still")
    this.moving = element("canvas", "", "fo-moving")
    for (const canvas of [this.still, this.moving]) canvas.setAttribute("aria-hidden", "true")
    this.frameBox.append(this.plot, this.note, this.tip)
    this.root.append(this.legend.box, this.frameBox, this.says)
    this.root.chart = this // for the tests, which read costs and geometry
    ;(parent.querySelector(".fo-home") ?? parent).append(this.root)
    // Once per element: a config with new functions makes Plotly build the plot anew and lose zoom and pan.
    this.config = {
      displaylogo: false,
      displayModeBar: true,
      doubleClick: "autosize",
      plotlyServerURL: "",
      responsive: false,
      scrollZoom: false,
      showSendToCloud: false,
      showTips: false,
      modeBarButtons: [["zoom2d", "pan2d", "autoScale2d", {
        name: "savePng", title: "Save as PNG", icon: SAVE_ICON, click: () => this.save(),
      }]],
    }
  }

  listen() {
    const { plot, root } = this
    this.onUp = (event) => this.released(event)
    window.addEventListener("pointerup", this.onUp, true)
    window.addEventListener("pointercancel", this.onUp, true)
    plot.addEventListener("pointerdown", (event) => this.pressed(event), true)
    plot.addEventListener("pointermove", (event) => this.moved(event), true)
    plot.addEventListener("pointerleave", () => this.left())
    root.addEventListener("keydown", (event) => this.key(event))
    root.addEventListener("blur", () => this.setCursor(null))
    this.sizes = new ResizeObserver(() => this.resized())
    this.sizes.observe(root)
  }

  update(data, setTriggerValue) {
    this.trigger = setTriggerValue
    const began = performance.now()
    if (data && data !== this.data) {
      this.data = data
      const { viewer, ...decoded } = unpackShown(data)
      this.next = { model: build(decoded), viewer, at: performance.now() }
      this.costs.decode = performance.now() - began
    }
    this.draw()
    return ++this.turn
  }

  // The newest data as a picture, unless it must wait: for Plotly, for the pointer to come up, for a width.
  draw() {
    if (this.closed || !(this.next || this.model)) return
    const model = this.next?.model ?? this.model
    this.root.style.setProperty("--fo-height", `${heights(model, (this.next ?? this).viewer.height).total}px`)
    this.waiting = true
    if (!isLoaded()) return void load(() => this.late()).then(() => this.waiting && this.draw())
    if (this.down || !this.root.clientWidth) return
    this.waiting = false
    if (this.next) this.take(this.next)
    this.next = null
    this.react()
  }

  late() {
    this.note.textContent = "The chart could not be loaded yet, and is asked for again. The table holds the same calls."
  }

  take({ model, viewer, at }) {
    const before = this.model?.header.run === model.header.run && this.model.header.live ? this.now() : -Infinity
    this.model = model
    this.viewer = viewer
    const { run, live, now_s } = model.header
    this.memory = memories.get(run) ?? keep(memories, run, { x: null, y: null, hidden: new Set(), selected: null })
    // Never back, unless it was far off: a payload may be as old as the last event.
    const arrived = now_s + (performance.now() - at) / 1000
    const now = before - arrived > 6 ? arrived : Math.max(arrived, before)
    this.clock = { now: live ? now : now_s, at: performance.now() }
    if (viewer.selected !== this.chosen) {
      this.chosen = viewer.selected
      this.memory.selected = viewer.selected
    }
    if (this.root.getAttribute("aria-label") !== viewer.label) this.root.setAttribute("aria-label", viewer.label)
  }

  // Seconds on the axis, moved on by the browser's own clock between two updates.
  now() {
    if (!this.model?.header.live) return this.model?.header.last_s ?? 0
    return this.clock.now + Math.min(performance.now() - this.clock.at, TRUSTED_MS) / 1000
  }

  react() {
    const { model, memory, plot } = this
    const began = performance.now()
    const size = this.size()
    this.look = { ...lookOf(this.root), narrow: size.narrow, hidden: memory.hidden }
    this.root.dataset.theme = this.look.dark ? "dark" : "light"
    const now = this.now()
    const until = lastTick(model, now, size.narrow)
    const first = !plot.classList.contains("js-plotly-plot")
    this.reacting = Plotly.react(plot, tracesOf(model, now, until, this.look), layoutOf(model, this.look, size, memory, until, this.viewer.height), this.config)
    this.until = until
    if (first) this.attach()
    this.insert()
    this.note.textContent = emptyWords(model)
    this.costs.react = performance.now() - began
    this.paint()
    this.legend.write(this.model, this.view, this.memory.hidden)
    this.costs.updates++
    this.costs.total = performance.now() - began + this.costs.decode
    this.tick()
  }

  size() {
    const width = Math.max(280, this.root.clientWidth)
    return { width, narrow: width < NARROW, coarse: window.matchMedia("(pointer: coarse)").matches }
  }

  attach() {
    const { plot } = this
    plot.on("plotly_relayout", (event) => this.zoomed(event))
    plot.on("plotly_relayouting", () => this.paint())
  }

  // Between Plotly's two layers: the grid lies below the bars, the zoom box and the buttons above them.
  insert() {
    const layers = this.plot.querySelectorAll(".svg-container > svg.main-svg")
    const above = layers[1]
    if (this.still.nextSibling !== this.moving || this.moving.nextSibling !== above) above.before(this.still, this.moving)
  }

  zoomed(event) {
    const { memory } = this
    for (const name of ["x", "y"]) {
      const axis = `${name}axis`
      if (event[`${axis}.autorange`]) memory[name] = null
      else if (event[`${axis}.range[0]`] !== undefined) {
        memory[name] = [event[`${axis}.range[0]`], event[`${axis}.range[1]`]]
      } else if (event[`${axis}.range`]) memory[name] = event[`${axis}.range`].slice()
    }
    if (event.dragmode !== undefined) memory.dragmode = event.dragmode
    this.paint()
    this.legend.write(this.model, this.view, this.memory.hidden)
  }

  paint() {
    if (!this.model || this.closed || !this.plot._fullLayout?.xaxis) return
    const began = performance.now()
    this.view = viewOf(this.plot, this.look)
    this.fit(this.still)
    this.fit(this.moving)
    paintStill(this.still.getContext("2d"), this.model, this.view, texts.get(this.model.header.run))
    this.paintMoving()
    this.costs.paint = performance.now() - began
  }

  fit(canvas) {
    const { width, height, dpr } = this.view
    const [wide, high] = [Math.round(width * dpr), Math.round(height * dpr)]
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide
      canvas.height = high
      canvas.style.width = `${width}px`
      canvas.style.height = `${height}px`
    }
  }

  // Outlines what would be clicked; found anew each time, as marks move under a pointer that stands still.
  paintMoving() {
    const now = this.now()
    if (this.pointer && !this.down) this.hover(now)
    const marked = this.cursor ? find(this.model, this.cursor) : (this.hit?.mark ?? null)
    const selected = this.memory.selected === null ? [] : marksOf(this.model, this.memory.selected)
    paintMoving(this.moving.getContext("2d"), this.model, this.view, { now, marked, selected })
  }

  // While it runs, the clock moves the open bars between updates; not where motion is unwanted, not when hidden.
  tick() {
    cancelAnimationFrame(this.frame)
    if (!this.model.header.live || window.matchMedia("(prefers-reduced-motion: reduce)").matches) return
    let last = performance.now()
    const step = (at) => {
      if (this.closed) return
      if (at - last >= FRAME_MS) {
        last = at
        if (this.now() > this.until && !this.memory.x) this.draw()
        else if (this.view) this.paintMoving()
      }
      this.frame = requestAnimationFrame(step)
    }
    this.frame = requestAnimationFrame(step)
  }

  // ---- pointer

  spot(event) {
    const box = this.plot.getBoundingClientRect()
    return { x: event.clientX - box.left, y: event.clientY - box.top }
  }

  pressed(event) {
    if (event.button === 0) this.down = { ...this.spot(event), hit: this.hit }
  }

  moved(event) {
    this.pointer = this.spot(event)
    if (this.view && !this.down && this.model) this.paintMoving()
  }

  left() {
    this.pointer = this.hit = null
    this.tip.hidden = true
    if (this.view && this.model) this.paintMoving()
  }

  released(event) {
    const { down } = this
    if (!down) return
    this.down = null
    const { x, y } = this.spot(event)
    const still = event.type === "pointerup" && Math.hypot(x - down.x, y - down.y) < 5
    const within = still && this.view && this.plot.contains(event.target.closest?.(".modebar")) === false
    if (within) this.clicked(hitAt(this.model, this.view, x, y, this.now()))
    // After Plotly's own listeners: its zoom is known then, and the update that waited keeps it.
    if (this.waiting) setTimeout(() => this.draw(), 0)
  }

  clicked(hit) {
    if (this.clickTimer) {
      clearTimeout(this.clickTimer)
      this.clickTimer = 0
      return
    }
    const call = hit?.mark !== undefined ? this.model.col.call[hit.mark] : hit?.call
    this.clickTimer = setTimeout(() => {
      this.clickTimer = 0
      if (call !== undefined && !this.closed) this.select(call)
    }, CLICK_WAIT_MS)
  }

  select(call) {
    this.memory.selected = call
    this.paintMoving()
    this.trigger("clicked", { call, serial: ++clicks + Date.now() })
  }

  hover(now) {
    this.hit = hitAt(this.model, this.view, this.pointer.x, this.pointer.y, now)
    this.plot.classList.toggle("fo-on", this.hit?.mark !== undefined)
    const words = this.cursor ? null : wordsOf(this.model, this.hit, texts.get(this.model.header.run), now)
    this.tip.hidden = !words
    if (!words) return
    fill(this.tip, words)
    place(this.tip, this.frameBox, this.pointer.x, this.pointer.y)
  }

  // ---- keyboard

  key(event) {
    if (event.target !== this.root || !this.view || event.ctrlKey || event.metaKey || event.altKey) return
    const { key } = event
    if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(key)) {
      const from = this.cursor ? find(this.model, this.cursor) : null
      const mark = stepFrom(this.model, from, key)
      if (mark !== null) this.setCursor(mark)
    } else if (key === "Enter" && this.cursor) this.select(this.cursor.call)
    else if (key === "Escape") {
      this.setCursor(null)
      this.memory.selected = null
      this.paintMoving()
      return // the page hears it too, and closes the detail
    } else return
    event.preventDefault()
    event.stopPropagation()
  }

  setCursor(mark) {
    this.cursor = mark === null ? null : nameOf(this.model, mark)
    if (!this.view) return
    if (mark === null) this.tip.hidden = true
    else {
      this.reveal(mark)
      const words = wordsOf(this.model, { mark }, texts.get(this.model.header.run), this.now())
      this.says.textContent = sentence(words)
      fill(this.tip, words)
      this.tip.hidden = false
      const at = this.geometry(mark)
      place(this.tip, this.frameBox, at.x, at.y)
    }
    this.paintMoving()
  }

  // Where the keyboard stands must be seen: a zoom that does not show it moves along.
  reveal(mark) {
    const at = this.geometry(mark)
    const { x, y } = this.view
    const outX = this.memory.x && (at.x < x.at || at.x > x.at + x.length)
    const outY = this.memory.y && (at.y < y.at || at.y > y.at + y.length)
    if (outX) this.memory.x = shifted(this.memory.x, this.model.col.start[mark])
    if (outY) this.memory.y = null
    if (outX || outY) this.react()
  }

  // The middle of a mark in pixels of the plot; the tests point there.
  geometry(mark) {
    const { model, view } = this
    const section = model.sections.findLast((each) => model.col.row[mark] >= each.first)
    const unit = section.y + (model.col.row[mark] - section.first + 0.5) * section.scale
    const from = model.col.start[mark]
    const length = Number.isNaN(model.col.end[mark]) ? Math.max(0, this.now() - from) : model.col.end[mark]
    return {
      x: view.x.at + ((from + length / 2 - view.x.from) / (view.x.to - view.x.from)) * view.x.length,
      y: view.y.at + (1 - (unit - view.y.from) / (view.y.to - view.y.from)) * view.y.length,
      height: rowPixels(view, section.scale),
    }
  }

  // ---- size, picture, end

  resized() {
    if (this.waiting || (this.model && this.view && Math.max(280, this.root.clientWidth) !== this.view.width)) this.draw()
  }

  async save() {
    const { model } = this
    const url = await picture(Plotly, this.plot, model, this.view, texts.get(model.header.run), this.now())
    download(url, `fanout-${model.header.run}.png`)
  }

  close() {
    this.closed = true
    open.delete(this)
    cancelAnimationFrame(this.frame)
    clearTimeout(this.clickTimer)
    this.sizes.disconnect()
    window.removeEventListener("pointerup", this.onUp, true)
    window.removeEventListener("pointercancel", this.onUp, true)
    // Plotly tells of an update a moment later, and fails where the plot was purged by then.
    this.reacting?.finally(() => Plotly.purge(this.plot))
    this.root.remove()
  }
}

function emptyWords(model) {
  if (model.size) return ""
  if (model.header.opening) return "Nothing has been sent yet."
  return model.header.live ? "Nothing has started yet." : "No call was sent."
}

const shifted = ([from, to], middle) => [middle - (to - from) / 2, middle + (to - from) / 2]

const SAVE_ICON = {
  width: 24, height: 24,
  path: "M12 3v10.2l3.6-3.6 1.4 1.4-6 6-6-6 1.4-1.4 3.6 3.6V3zM4 19h16v2H4z",
}
