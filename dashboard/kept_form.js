// The form, kept in the tab's own storage: a page that is loaded again hands back what was there, once a session.
const NAME = "fanout-form"
const TYPED = ".st-key-prompts_text textarea"
const PRESSED = "button, label, [role=radio], [role=option], [role=slider]"
const HELD_MS = 5000 // what was handed back is answered long before, unless the server is lost
const tab = (window.fanoutForm ??= { asked: null, form: null, listens: false, touched: false })

function store(form) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(form))
  } catch {
    forget() // an older form would be a wrong one
  }
}

function forget() {
  try {
    sessionStorage.removeItem(NAME)
  } catch { /* a browser that keeps nothing */ }
}

function stored() {
  try {
    return sessionStorage.getItem(NAME)
  } catch {
    return null
  }
}

function keepWhatIsTyped() {
  const field = document.querySelector(TYPED)
  // Nothing is stored any more where somebody has logged out.
  if (field && stored() && tab.form?.text !== null && field.value !== tab.form.text) {
    store({ ...tab.form, text: field.value })
  }
}

function ask(session, asks, setTriggerValue) {
  if (tab.asked === session) return
  tab.asked = session
  const kept = asks ? stored() : null
  const isTyping = document.activeElement?.matches(TYPED)
  if (kept && !isTyping && !tab.touched) {
    hold(true)
    setTriggerValue("kept", kept)
  } else if (tab.form) store(tab.form)
}

// While the form is filled nobody can type into it: what was typed would be overwritten.
function hold(on) {
  for (const main of document.querySelectorAll(".stMain")) main.inert = on
  clearTimeout(tab.timer)
  if (on) tab.timer = setTimeout(hold, HELD_MS, false)
}

function keep(session, form, asks) {
  tab.form = form
  if (!asks) hold(false)
  if (asks && tab.asked !== session) return // not before what is there was looked at
  store(form)
  tab.touched = false
}

function touch(event) {
  if (!event.target.closest?.(".stMain")) return
  if (event.type !== "click" || event.target.closest(PRESSED)) tab.touched = true
}

if (!tab.listens) {
  tab.listens = true
  window.addEventListener("pagehide", keepWhatIsTyped)
  for (const type of ["input", "change", "click"]) document.addEventListener(type, touch, true)
}

export default ({ data, setTriggerValue }) => {
  if (data.form === undefined) ask(data.session, data.asks, setTriggerValue)
  else keep(data.session, data.form, data.asks)
}
