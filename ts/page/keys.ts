import { button, el } from './dom.ts'
import type { Tab } from './tabs.ts'

/** Keys that work everywhere. */
const everywhere = [
  ['Tab', 'to the next part of the page'],
  ['1 2 3 …', 'the first tab, the second, …'],
  ['← →', 'among tabs and among files: the next one'],
  ['o', 'open files'],
  ['Delete', 'on a file: close it'],
  ['?', 'these keys'],
] as const

/** A dialog with every key that the page answers to. */
export const keysDialog = (tabs: readonly Tab[]): HTMLDialogElement => {
  const dialog = el('dialog', { 'aria-labelledby': 'keys-title' })
  const rows = [...everywhere, ...tabs.flatMap(({ keys = [] }) => keys)].map(([keys, does]) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, ...keys.split(' ').flatMap((key) => [el('kbd', {}, key), ' '])),
      el('td', {}, does),
    ),
  )
  dialog.append(
    el('h2', { id: 'keys-title' }, 'Keys'),
    el('table', { class: 'keys' }, el('tbody', {}, ...rows)),
    button('Close', {}, () => dialog.close()),
  )
  return dialog
}
