// What came of each fault, as it was recorded: kept beside, compared by the cases, and shown in docs/qemu-faults.md.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root, testbed } from '../../cache.mjs'
import { fsm } from '../move.mjs'
import { protocols, rows } from './rows.mjs'

const file = join(testbed, 'vmm/golden/faults.json')
const document = join(root, 'docs/qemu-faults.md')

/** By row and client: `{ text, badness }`, or a list of them where chance decides. */
export const recorded = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {})

/** Keeps what came of a row with a client, where chance decides besides what came before, and makes the document anew. */
export const record = (id, client, outcome) => {
  const all = recorded()
  const others = [all[id]?.[client] ?? []].flat().filter(({ text }) => text !== outcome.text)
  const either = [...others, outcome].sort((one, other) => one.badness - other.badness)
  all[id] = { ...all[id], [client]: rows[id].chance?.includes(client) ? either : outcome }
  const sorted = Object.keys(rows).filter((row) => all[row])
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(sorted.map((row) => [row, all[row]])), null, 2)}\n`)
  writeFileSync(document, documentOf(recorded()))
}

const marks = ['', ' (!)', ' (!!)']

const cell = (outcome) => {
  if (outcome === undefined) return '-'
  return [outcome]
    .flat()
    .map(({ text, badness }) => `${text}${marks[badness]}`)
    .join(', or: ')
}

const line = (cells) => `| ${cells.join(' | ')} |`

/** The rows of a protocol, as the QEMUs that speak it fare, beside ours. */
const tableOf = (all, own, on) => {
  const head = ['device', 'fails at', 'with', ...on.map((one) => `QEMU ${one}`), 'this project']
  const shown = Object.entries(all).filter(([id]) => own[id])
  return [
    line(head),
    line(head.map(() => '---')),
    ...shown.map(([id, outcomes]) => {
      const { side, what, how } = own[id]
      const where = side === 'source' ? 'source' : 'destination'
      return line([where, what, how, ...[...on, 'ours'].map((client) => cell(outcomes[client]))])
    }),
  ]
}

/** Whether the document shows what is recorded. */
export const isShown = () => readFileSync(document, 'utf8') === documentOf(recorded())

/** The document, made of what was recorded. */
const documentOf = (all) => {
  return [
    '# Faults, and what becomes of the guest',
    'A device that fails at one call while its guest migrates: what unmodified QEMUs make of it, and what this project makes of the',
    'same fault in a real session. Made by `npm run test:qemu -- --record "fault, "`, from runs with the software device; the tests',
    'compare every run with it. The guest at a QEMU is one that uses the device all the time and sees what it loses.',
    '',
    'Unmarked: the guest lives on in one place, with its device as it was. (!): it does not, and that is said: everything is kept in',
    "doubt, or the device is named as lost. (!!): it does not, and somebody says otherwise, or nothing at all. 'or': one or the",
    'other, as it happens. -: it does not ask for that.',
    '',
    '## fsm',
    ...tableOf(all, protocols.fsm, fsm),
    '',
    '## region',
    ...tableOf(all, protocols.region, ['7.2']),
    '',
  ].join('\n')
}
