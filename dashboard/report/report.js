// Draws the chart of a report, in the colours of the reader's theme, light on paper, without room for labels where there is none.

const told = JSON.parse(document.getElementById("told").textContent)
const box = document.getElementById("gantt")
const dark = matchMedia("(prefers-color-scheme: dark)")
const narrow = matchMedia("(max-width: 640px)")
const PAPER_PX = 700 // what fits across a sheet, at whatever width the window has
let printing = false

function draw() {
  const inDark = dark.matches && !printing
  const data = told.data.map((trace, place) => (inDark ? { ...trace, ...told.dark.data[place] } : trace))
  const layout = structuredClone(inDark ? told.dark.layout : told.layout) // Plotly writes into what it is given
  if (narrow.matches && !printing) {
    Object.assign(layout.yaxis, { showticklabels: false, title: { text: "" } })
    layout.margin = { ...layout.margin, l: 26, r: 10 }
    layout.xaxis.nticks = 5
  }
  if (printing) layout.width = PAPER_PX
  Plotly.react(box, data, layout, told.config)
}

box.textContent = ""
draw()
dark.addEventListener("change", draw)
narrow.addEventListener("change", draw)
for (const [name, now] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(name, () => {
    printing = now
    draw()
  })
}
