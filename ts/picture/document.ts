import { figures, tables } from './figures.ts'
import { stateGraph, walksOf, walkTitle } from './graph.ts'
import { element, escaped, texted } from './markup.ts'
import { classOf, looks, patternOf, patterns } from './palette.ts'
import type { Alignment, Run } from './run.ts'
import { pictureStyle } from './style.ts'
import { timeline } from './timeline.ts'
import { sentencesOf } from './words.ts'

/** Most state graphs of one picture: a group of devices that all went other ways is told by its table. */
const mostGraphs = 12

const legend = (run: Run, id: string): string => {
  const seen = new Set(
    run.ends.flatMap(({ objects }) => objects.flatMap(({ states }) => states.map(({ what }) => what))),
  )
  const item = (state: string, letter: string) =>
    element(
      'li',
      {},
      element(
        'svg',
        { width: 26, height: 18, viewBox: '0 0 26 18', 'aria-hidden': 'true' },
        patterns(`${id}-${state}`),
        element('rect', { width: 26, height: 18, rx: 3, class: classOf(state) }),
        element('rect', { width: 26, height: 18, rx: 3, fill: patternOf(state, `${id}-${state}`) ?? 'none' }),
        texted('text', { x: 13, y: 13, 'text-anchor': 'middle', class: 'vm-in' }, letter),
      ),
      escaped(state),
    )
  return element(
    'ul',
    { class: 'vm-legend', 'aria-label': 'States' },
    ...Object.entries(looks)
      .filter(([state]) => seen.has(state as never))
      .map(([state, { letter }]) => item(state, letter)),
  )
}

const aligned: Record<Alignment, string> = {
  clock: 'Both ends had one clock.',
  'given-up': 'Each end had a clock of its own; they were put together at the moment at which the guest was given up.',
  'taken-over':
    'Each end had a clock of its own; they were put together at the moment at which the guest was taken over.',
  start: 'Each end had a clock of its own; it was assumed that they began together.',
}

/** Widths for which the timeline is laid out; of two that differ in nothing else a style sheet shows the one that fits. */
const [narrow, wide] = [352, 1040]

/** What is drawn of a run, as HTML to be put into a page that has `pictureStyle`. */
export const picture = (run: Run, { id = 'vm' }: { readonly id?: string } = {}): string => {
  const walks = walksOf(run)
  return element(
    'div',
    { class: 'vm vm-picture' },
    figures(run),
    element('div', { class: 'vm-wide' }, timeline(run, { width: wide, id: `${id}-wide` })),
    element('div', { class: 'vm-narrow' }, timeline(run, { width: narrow, id: `${id}-narrow` })),
    legend(run, id),
    run.aligned && run.aligned !== 'clock' ? texted('p', { class: 'vm-note' }, aligned[run.aligned]) : '',
    element(
      'div',
      { class: 'vm-graphs' },
      ...walks
        .slice(0, mostGraphs)
        .map((walk, place) =>
          element(
            'figure',
            {},
            texted('figcaption', {}, walkTitle(walk)),
            stateGraph(walk, { id: `${id}-graph${place}` }),
          ),
        ),
    ),
    walks.length > mostGraphs
      ? texted('p', { class: 'vm-note' }, `${walks.length - mostGraphs} more ways stand in the table only.`)
      : '',
    tables(run),
  )
}

/**
 * A document of its own with the picture of a run: no script, nothing from elsewhere.
 *
 * @example
 * ```ts
 * import { writeFile } from 'node:fs/promises'
 * import { openDevice, type SessionEvent, save } from 'vfio-migration'
 * import { endOfEvents, pictureDocument, runOf } from 'vfio-migration/picture'
 * const session = await save(await openDevice('model:size=64KiB,pre-copy'))
 * const events: SessionEvent[] = []
 * const listening = (async () => {
 *   for await (const event of session.events()) events.push(event)
 * })()
 * const report = await session.sendTo('gpu.state')
 * await listening
 * const run = runOf([endOfEvents('save', events, { report })])
 * await writeFile('run.html', pictureDocument(run, { title: 'A snapshot' }))
 * await report.devices[0]?.device?.close()
 * ```
 */
export const pictureDocument = (run: Run, { title }: { readonly title: string }): string => {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${pictureStyle}</style>
</head>
<body class="vm vm-document">
<main>
<h1>${escaped(title)}</h1>
<p class="vm-headline">${escaped(sentencesOf(run).join(' '))}</p>
${picture(run)}
</main>
</body>
</html>
`
}
