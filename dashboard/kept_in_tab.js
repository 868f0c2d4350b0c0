// What a tab keeps in its own storage, by name: a page that is loaded again, or whose server was started anew, hands it
// back, once a session. Streamlit calls the default export at each drawing: without `form` it asks, with one it keeps.
// It also says what it has heard of: a drawing that was cut off may have put values into fields that never got them.
const TYPED = ".st-key-prompts_text textarea"
const PRESSED = "button, label, [role=radio], [role=option], [role=slider]"
const LEAVES_MS = 5000 // until then what is said leads back to the page that is left; a server that is lost answers no link
const HELD_MS = 5000 // what was handed back is answered long before, unless the server is lost
const kept = (window.fanoutKept ??= { slots: {}, listens: false, poke: null })

function slotOf(name) {
  return (kept.slots[name] ??= { session: null, about: null, form: undefined, touched: false, handed: null })
}

function store(name, form) {
  try {
    if (form === null) sessionStorage.removeItem(name)
    else sessionStorage.setItem(name, JSON.stringify(form))
  } catch {
    forget(name) // an older one would be a wrong one
  }
}

function forget(name) {
  try {
    sessionStorage.removeItem(name)
  } catch { /* a browser that keeps nothing */ }
}

function stored(name, about) {
  try {
    const text = sessionStorage.getItem(name)
    return text && (JSON.parse(text).about ?? null) === about ? text : null
  } catch {
    return null
  }
}

function keepWhatIsTyped() {
  const field = document.querySelector(TYPED)
  const { form } = slotOf("fanout-form")
  // Nothing is stored any more where somebody has logged out.
  if (field && form && form.text !== null && field.value !== form.text && stored("fanout-form", null)) {
    store("fanout-form", { ...form, text: field.value })
  }
}

function ask({ name, session, about, asks, home }, setTriggerValue) {
  const slot = slotOf(name)
  if (slot.session === session && slot.about === about) {
    // The drawing that it was handed to was cut off by the next one, which still asks.
    if (asks && slot.handed && !isLeaving(home)) setTriggerValue("kept", slot.handed)
    return
  }
  if (isLeaving(home)) return
  // The page stands while its server was started anew: what is on it is what was kept, and the server's is nobody's.
  const isAnew = slot.session !== null && slot.session !== session
  Object.assign(slot, { session, about })
  const found = asks ? stored(name, about) : null
  slot.handed = null
  const isTheirs = slot.touched || document.activeElement?.matches(TYPED)
  if (found && (isAnew || !isTheirs)) {
    hold(true)
    slot.handed = found
    setTriggerValue("kept", found)
  } else if (slot.form) store(name, slot.form)
}

// A link was pressed that leads away from `home`, where what is kept belongs, and its page is not here yet.
function isLeaving(home) {
  const { to, at } = window.fanoutLed ?? { to: home, at: 0 }
  const isOnTheWay = to !== location.pathname && Date.now() - at < LEAVES_MS
  return isOnTheWay && `${to}/`.replace("//", "/") !== home
}

// While the form is filled nobody can type into it: what was typed would be overwritten.
function hold(on) {
  for (const main of document.querySelectorAll(".stMain")) main.inert = on
  clearTimeout(kept.timer)
  if (on) kept.timer = setTimeout(hold, HELD_MS, false)
}

function keep({ name, session, about, asks, home, form, filling }, setStateValue) {
  const slot = slotOf(name)
  slot.form = form
  if (!asks) slot.handed = null
  if (filling) sayHeard(filling, home, setStateValue)
  else if (!asks) hold(false)
  // Not before what is there was looked at, and taken.
  if (asks && (slot.handed || slot.session !== session || slot.about !== about)) return
  const typed = slot.touched ? typedSince(form) : null
  store(name, typed === null ? form : { ...form, text: typed })
  slot.touched = typed !== null
}

// What stands in the field where that is later than this drawing, which was made before the server heard of it.
function typedSince(form) {
  const field = document.querySelector(TYPED)
  return field && typeof form?.text === "string" && field.value !== form.text ? field.value : null
}

// Once it is painted: by then each field has told Streamlit's page what it was filled with, and the next message says so.
function sayHeard(filling, home, setStateValue) {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (!isLeaving(home)) setStateValue("heard", filling)
    hold(false)
  }))
}

function touch(event) {
  if (!event.target.closest?.(".stMain")) return
  if (event.type === "click" && !event.target.closest(PRESSED)) return
  for (const slot of Object.values(kept.slots)) slot.touched = true
}

// A server that was started anew knows nothing of the page until it is told: a press would be its first word of it.
function watchConnection() {
  const app = document.querySelector(".stApp")
  let wasLost = false
  new MutationObserver(() => {
    const isLost = app.dataset.testConnectionState !== "CONNECTED"
    if (wasLost && !isLost) {
      keepWhatIsTyped()
      kept.poke?.()
    }
    wasLost = isLost
  }).observe(app, { attributes: true, attributeFilter: ["data-test-connection-state"] })
}

// Run may be pressed in the same breath: the form is not drawn again, and this is the last that is seen of it.
function leaves(event) {
  const isLeft = event.type === "change" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))
  if (isLeft && event.target.matches?.(TYPED)) keepWhatIsTyped()
}

if (!kept.listens) {
  kept.listens = true
  for (const type of ["change", "keydown"]) document.addEventListener(type, leaves, true)
  window.addEventListener("pagehide", keepWhatIsTyped)
  for (const type of ["input", "change", "click"]) document.addEventListener(type, touch, true)
  watchConnection()
}

export default ({ data, setStateValue, setTriggerValue }) => {
  if (data.form !== undefined) return void keep(data, setStateValue)
  kept.poke = () => setTriggerValue("back", Date.now())
  ask(data, setTriggerValue)
  return () => hold(false) // another page is drawn: nothing of it waits
}
