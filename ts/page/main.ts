// The page: files above, tabs below, and what belongs to all of it.
import { compareTab } from './compare-tab.ts'
import { Decoder } from './decoder.ts'
import { button, el } from './dom.ts'
import { FileBar } from './file-bar.ts'
import { Files } from './files.ts'
import { framesTab } from './frames-tab.ts'
import { handedFiles } from './handed.ts'
import { keysDialog } from './keys.ts'
import { outlineTab } from './outline-tab.ts'
import { whyNot } from './platform.ts'
import { runTab } from './run-tab.ts'
import { simulateTab } from './simulate-tab.ts'
import { type Page, type Tab, Tabs } from './tabs.ts'

const decoder = new Decoder()
const files = new Files(decoder)
const all: readonly Tab[] = [outlineTab, runTab, framesTab, compareTab(decoder), simulateTab(decoder)]

const live = el('div', { class: 'unseen', 'aria-live': 'polite' })
const page: Page = {
  files,
  go: (tab, query) => tabs.go(tab, query),
  say: (text) => {
    live.textContent = text
  },
}
const tabs = new Tabs(all, page)
const bar = new FileBar(files)
const keys = keysDialog(all)

const empty = el(
  'div',
  { class: 'empty' },
  el('p', { class: 'empty-title' }, 'Drop a file here'),
  el('p', {}, "A stream of vfio-migration save, a file of QEMU's migrate or savevm, or a report of --report."),
  button('Open files…', { class: 'primary' }, () => bar.choose()),
  el('p', { class: 'soft' }, 'It is read in this browser and goes nowhere.'),
)

const reason = whyNot()
document.body.append(
  el(
    'header',
    {},
    el('h1', {}, 'vfio-migration'),
    button('Keys', { class: 'quiet', 'aria-keyshortcuts': '?' }, () => keys.showModal()),
  ),
  el(
    'main',
    {},
    ...(reason === undefined ? [] : [el('p', { class: 'banner bad', role: 'alert' }, reason)]),
    bar.element,
    tabs.list,
    empty,
    tabs.panels,
  ),
  keys,
  live,
)

const update = () => {
  const nothing = files.all.length === 0 && !tabs.current.withoutFile
  empty.hidden = !nothing
  tabs.panels.hidden = nothing
}
files.addEventListener('change', () => {
  update()
  tabs.front?.update?.(files.current)
})
tabs.addEventListener('change', update)

addEventListener('keydown', (event) => {
  const { key, target } = event
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || keys.open) return
  if (
    target instanceof HTMLInputElement ||
    target instanceof HTMLSelectElement ||
    target instanceof HTMLTextAreaElement
  )
    return
  const tab = all[Number(key) - 1]
  if (tab) page.go(tab.id)
  else if (key === '?') keys.showModal()
  else if (key === 'o') bar.choose()
  else if (!tabs.front?.key?.(event)) return
  event.preventDefault()
})

addEventListener('dragover', (event) => {
  event.preventDefault()
  document.body.classList.add('dropping')
})
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) document.body.classList.remove('dropping')
})
addEventListener('drop', (event) => {
  event.preventDefault()
  document.body.classList.remove('dropping')
  files.open([...(event.dataTransfer?.files ?? [])].map((file) => ({ file })))
})

tabs.follow()
const { origins, absent } = await handedFiles()
files.open(origins)
for (const one of absent) files.missing(one)
document.body.dataset.ready = 'yes'
