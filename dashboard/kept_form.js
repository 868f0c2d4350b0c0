// The form, kept in the tab's own storage: a page that is loaded again hands back what was there, once a session.
const NAME = "fanout-form"
const TYPED = ".st-key-prompts_text textarea"
const tab = (window.fanoutForm ??= { session: null, form: null })

function store(form) {
  tab.form = form
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

if (!tab.listens) {
  tab.listens = true
  window.addEventListener("pagehide", keepWhatIsTyped)
}

export default ({ data, setTriggerValue }) => {
  const isNew = tab.session !== data.session
  tab.session = data.session
  const kept = isNew && data.asks ? stored() : null
  if (kept && kept !== JSON.stringify(data.form)) setTriggerValue("kept", kept)
  else store(data.form)
}
