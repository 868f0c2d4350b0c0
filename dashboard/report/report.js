// Draws the chart of a report, in the colours of the reader's theme, light on paper, without room for labels where there
// is none. The legend and the buttons are the page's own, not Plotly's: they wrap, and lie over nothing.

const told = JSON.parse(document.getElementById("told").textContent)
const box = document.getElementById("gantt")
const dark = matchMedia("(prefers-color-scheme: dark)")
const narrow = matchMedia("(max-width: 640px)")
const touched = matchMedia("(pointer: coarse)")
const PAPER_PX = 700 // what fits across a sheet, at whatever width the window has
const TOP = 22
const hidden = new Set()
let printing = false

// The figure in the colours that are wanted. Plotly writes into what it is given.
function figure() {
  const inDark = dark.matches && !printing
  const data = told.data.map((trace, place) => (inDark ? { ...trace, ...told.dark.data[place] } : { ...trace }))
  for (const trace of data) trace.visible = !isHidden(trace.legendgroup)
  return { data, layout: structuredClone(inDark ? told.dark.layout : told.layout) }
}

// The part of a bar before the first token goes with the bar.
const isHidden = (group) => hidden.has(group) || (group === "first_token" && hidden.has("answered"))

function draw() {
  const { data, layout } = figure()
  layout.showlegend = false
  layout.height -= layout.margin.t - TOP
  layout.margin = { ...layout.margin, t: TOP }
  layout.uirevision = "run" // who looks at a part goes on looking at it
  layout.dragmode = touched.matches || narrow.matches ? false : "zoom" // there a finger that moves scrolls the page
  if (narrow.matches && !printing) {
    for (const axis of [layout.yaxis, layout.yaxis3]) axis && Object.assign(axis, { showticklabels: false, title: { text: "" } })
    layout.margin = { ...layout.margin, l: 26, r: 10 }
    layout.xaxis.nticks = 5
  }
  if (printing) layout.width = PAPER_PX
  Plotly.react(box, data, layout, told.config)
  legend.replaceChildren(...entries(data))
}

// What is on the chart, in the legend's order; a press hides or shows it.
function entries(data) {
  const groups = data.filter(({ showlegend, legendgroup }) => legendgroup && showlegend !== false)
  const named = groups.filter((one, place) => place === groups.findIndex((other) => other.legendgroup === one.legendgroup))
  return named.sort((one, other) => one.legendrank - other.legendrank).map(({ name, legendgroup: group, marker }) => {
    const entry = button("", () => {
      if (!hidden.delete(group)) hidden.add(group)
      draw()
      legend.querySelector(`[data-group="${group}"]`).focus()
    })
    const swatch = document.createElement("i")
    const { shape, fgcolor } = marker.pattern
    swatch.style.background = HATCHES[shape] ? `${HATCHES[shape](fgcolor)}, ${marker.color}` : marker.color
    entry.dataset.group = group
    entry.title = "Show or hide"
    entry.disabled = group === "first_token"
    entry.setAttribute("aria-pressed", String(!isHidden(group)))
    entry.append(swatch, name)
    return entry
  })
}

const stripes = (angle) => (colour) => `repeating-linear-gradient(${angle}deg, ${colour} 0 0.8px, transparent 0.8px 4px)`
const HATCHES = {
  "/": stripes(-45), "\\": stripes(45), "-": stripes(0),
  x: (colour) => `${stripes(-45)(colour)}, ${stripes(45)(colour)}`,
}

function button(words, press) {
  const made = document.createElement("button")
  made.type = "button"
  made.textContent = words
  made.onclick = press
  return made
}

function parted(...children) {
  const made = document.createElement("div")
  made.append(...children)
  box.before(made)
  return made
}

const whole = button("Show all", () => {
  const { xaxis, yaxis } = told.layout
  Plotly.relayout(box, { "xaxis.range": [...xaxis.range], "yaxis.range": [...yaxis.range] })
})
const save = button("Save as PNG", () => {
  const { data, layout } = figure()
  for (const axis of ["xaxis", "yaxis"]) layout[axis].range = [...box.layout[axis].range]
  const shown = { data, layout: { ...layout, width: box.clientWidth }, config: told.config }
  Plotly.downloadImage(shown, { format: "png", scale: 2, width: box.clientWidth, height: layout.height, filename: told.file })
})
parted(whole, save).className = "tools"
const legend = parted()
legend.className = "legend"
box.textContent = ""
draw()

const isWhole = () => ["xaxis", "yaxis"].every((axis) => {
  const shown = box.layout[axis].range
  return told.layout[axis].range.every((end, place) => Math.abs(end - shown[place]) < 1e-6)
})
whole.hidden = true
box.on("plotly_relayout", () => {
  whole.hidden = isWhole()
})
for (const query of [dark, narrow, touched]) query.addEventListener("change", draw)
for (const [name, now] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(name, () => {
    printing = now
    draw()
  })
}
