// The form, kept in the tab's own storage: a page that is loaded again hands back what was there, once a session.
const NAME = "fanout-form"
const TYPED = ".st-key-prompts_text textarea"
const tab = (window.fanoutForm ??= { asked: null, form: null, listens: false })

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
  if (kept && !isTyping) setTriggerValue("kept", kept)
  else if (tab.form) store(tab.form)
}

function keep(session, form, asks) {
  tab.form = form
  if (!asks || tab.asked === session) store(form) // not before what is there was looked at
}

if (!tab.listens) {
  tab.listens = true
  window.addEventListener("pagehide", keepWhatIsTyped)
}

export default ({ data, setTriggerValue }) => {
  if (data.form === undefined) ask(data.session, data.asks, setTriggerValue)
  else keep(data.session, data.form, data.asks)
}
