// Every scenario of docs/simulation.md, as its reader would replay it.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { type Course, simulate } from 'vfio-migration/simulation'

const page = await readFile(fileURLToPath(new URL('../../docs/simulation.md', import.meta.url)), 'utf8')

interface Documented {
  readonly title: string
  readonly address: string
  readonly text: string
  readonly outcome: string
}

const pattern = /^## (.+)\n[\s\S]*?^- `#simulate\?(.+)`\n- `vfio-migration simulate '(.+)'`\n- (.+)$/gm
const documented = [...page.matchAll(pattern)].map(
  ([, title, address, text, outcome]) => ({ title, address, text, outcome }) as Documented,
)

/** What came of it, in the words of the page. */
const outcomeOf = ({ moments, reports, broken }: Course): string => {
  const last = moments.at(-1)?.then
  const end = (side: 'save' | 'restore') => reports[side]?.outcome ?? (last?.[side].inDoubt ? 'in doubt' : 'not over')
  const owner = { save: 'the source owns', restore: 'the destination owns', open: 'nobody is known to own' }
  return [
    `source ${end('save')}`,
    `destination ${end('restore')}`,
    `${owner[last?.owner ?? 'open']} the guest`,
    ...(broken.length > 0 ? ['a rule is broken'] : []),
  ].join(', ')
}

test('every heading but the last is a scenario', (t) => {
  const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, title]) => title)
  t.deepEqual(
    documented.map(({ title }) => title),
    headings.slice(0, -1) as string[],
  )
  t.true(documented.length > 10)
})

for (const { title, address, text, outcome } of documented) {
  test(`${title}: it takes the course that the page says`, (t) => {
    t.is(address.replaceAll('&', ' '), text)
    const course = simulate(text)
    t.is(outcomeOf(course), outcome)
  })
}
