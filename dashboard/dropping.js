// What is dropped on a drop zone, of which a page has one. Streamlit's page asks its server where the file is to go and
// shows nothing until it knows; a server that begins to draw the page in that instant forgets to answer. So a file of
// which nothing is to be seen is dropped once more, and where that does not help either, the page says so.
const ZONE = '[data-testid="stFileUploader"]'
const FIELD = `${ZONE} input[type=file]`
const CHIP = `${ZONE} [data-testid="stFileChip"]`
const NAME = '[data-testid="stFileChipName"]'
const AGAIN_AFTER_MS = [1000, 2000] // since the drop, and since it was dropped again
const LOST_AFTER_MS = 2000 // since the last of them
const LOST = "The file did not reach the server. Drop it once more."
const zone = (window.fanoutDropped ??= { listens: false, place: null, isOurs: false, stop: () => {} })

function dropped(files) {
  zone.stop()
  if (!files.length || !document.querySelector(ZONE)) return
  const before = new Set(document.querySelectorAll(CHIP))
  const waits = [...AGAIN_AFTER_MS, LOST_AFTER_MS]
  const watch = new MutationObserver(look)
  let timer
  zone.stop = () => {
    watch.disconnect()
    clearTimeout(timer)
    say("")
  }
  watch.observe(document.body, { childList: true, subtree: true })
  next()

  // Those that are neither taken nor refused: of both it shows the name.
  function missing() {
    const shown = [...document.querySelectorAll(CHIP)].filter((chip) => !before.has(chip))
    const names = new Set(shown.map((chip) => chip.querySelector(NAME)?.title))
    return files.filter(({ name }) => !names.has(name))
  }

  function look() {
    if (!document.querySelector(ZONE) || !missing().length) zone.stop()
  }

  function next() {
    const wait = waits.shift()
    if (wait !== undefined) timer = setTimeout(again, wait)
  }

  function again() {
    if (waits.length) dropAgain(missing())
    else say(LOST)
    next()
  }
}

function dropAgain(files) {
  const field = document.querySelector(FIELD)
  if (!field) return
  const held = new DataTransfer()
  for (const file of files) held.items.add(file)
  field.files = held.files
  zone.isOurs = true
  field.dispatchEvent(new Event("change", { bubbles: true }))
  zone.isOurs = false
}

function say(words) {
  const { place } = zone
  if (!place || place.textContent === words) return
  const line = Object.assign(document.createElement("p"), { className: "wrong", role: "alert", textContent: words })
  place.replaceChildren(...(words ? [line] : []))
}

function onChange({ target }) {
  if (!zone.isOurs && target.matches?.(FIELD)) dropped([...target.files])
}

// A folder is taken for the files in it, and there is no telling which they are.
function onDrop({ target, dataTransfer }) {
  if (!target.closest?.(ZONE)) return
  const isFolder = [...dataTransfer.items].some((each) => each.webkitGetAsEntry?.()?.isDirectory)
  dropped(isFolder ? [] : [...dataTransfer.files])
}

if (!zone.listens) {
  zone.listens = true
  document.addEventListener("change", onChange, true)
  document.addEventListener("drop", onDrop, true)
}

export default ({ parentElement }) => {
  zone.place = parentElement
  return () => zone.stop()
}
