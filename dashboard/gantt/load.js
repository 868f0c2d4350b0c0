// Plotly and the style sheet, from beside this file: asked for once per page.

import { element } from "./tip.js"

const ASSETS = new URL(".", import.meta.url)
const MOST_MS = 30_000
let loading = null
let ready = false
const late = [] // who is to hear that it takes a second try

// Until it is there: a server that is down for a moment comes back. `onLate` is called once where the first try fails.
export function load(onLate = () => {}) {
  late.push(onLate)
  loading ??= tryOn()
  return loading
}

export function isLoaded() {
  return ready
}

async function tryOn() {
  for (let pause = 1_000; !ready; pause = Math.min(2 * pause, MOST_MS)) {
    try {
      await Promise.all([plotly(), style("gantt.css")])
      ready = true
    } catch {
      for (const tell of late.splice(0)) tell()
      await new Promise((done) => setTimeout(done, pause))
    }
  }
}

// A page with another chart has brought Plotly along, but never our style sheet.
function plotly() {
  return window.Plotly?.react ? Promise.resolve() : added("script", "src", "plotly.min.js")
}

function style(name) {
  const there = document.querySelector(`link[href="${at(name)}"]`)
  return there ? Promise.resolve() : added("link", "href", name, { rel: "stylesheet" })
}

function added(tag, where, name, more = {}) {
  return new Promise((resolve, reject) => {
    const asked = Object.assign(element(tag), more, { [where]: at(name) })
    asked.onload = resolve
    asked.onerror = () => {
      asked.remove()
      reject(new Error(`${name} could not be loaded`))
    }
    document.head.append(asked)
  })
}

function at(name) {
  return new URL(name, ASSETS).href
}
