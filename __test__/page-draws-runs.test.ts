// The picture of a run in the page: what is drawn on the screen is held against the numbers in the files.
import { readFile } from 'node:fs/promises'
import type { ExecutionContext } from 'ava'
import type { Locator } from 'playwright-core'
import { inspect, type Report } from 'vfio-migration'
import { parseReport } from 'vfio-migration/picture'
import { allRead, browserTest as test, view } from './support/chromium.js'
import { Run } from './support/cli.js'
import { filesOf } from './support/files-of-each-kind.js'

/** Pixels that a drawing may be off: its edges are rounded, and nothing is narrower than it can be seen. */
const tolerance = 2

const exactly = (bytes: bigint) => `${bytes.toString().replace(/\B(?=(\d{3})+$)/g, '\u202f')} bytes`

/** The lanes of the first stretch, the whole run, with their names: where each state is on the screen. */
const lanesOf = async (picture: Locator) => {
  const stretch = picture.locator('.vm-wide g.vm-stretch').first()
  const boxes = await stretch.locator('g.vm-state').evaluateAll((all) =>
    all.map((group) => {
      const rect = [...Array.from(group.children)].find(({ tagName }) => tagName === 'rect') as Element
      const { left, top, width } = rect.getBoundingClientRect()
      return { left, top, width, title: group.textContent }
    }),
  )
  const lanes = new Map<number, typeof boxes>()
  for (const box of boxes) lanes.set(Math.round(box.top), [...(lanes.get(Math.round(box.top)) ?? []), box])
  const names = (await stretch.locator('.vm-name').allTextContents()).filter((name) => name !== 'phases')
  return [...lanes.values()].map((lane, place) => [names[place] as string, lane] as const)
}

test('a report: its figures, and every state where it was in time', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=8MiB,pre-copy,p2p', 'nic=model:size=4MiB,p2p')
  const report: Report = parseReport(await readFile(`${stream}.json`, 'utf8'))
  const { page } = await view(t, [`${stream}.json`], { hash: 'run' })
  await allRead(page)
  const picture = page.locator('#panel-run .vm-picture')
  await picture.waitFor()
  const figures = await picture.locator('.vm-figures').textContent()
  for (const figure of [report.outcome, exactly(report.bytes)]) t.true(figures?.includes(figure), figures ?? '')
  const lanes = await lanesOf(picture)
  t.is(lanes.length, report.objects.length)
  for (const [name, lane] of lanes) {
    // A lane stands where its device came to be known, which may be in any order.
    const { walked } = report.objects.find(({ id }) => id === name) as Report['objects'][number]
    t.deepEqual(
      lane.map(({ title }) => /^(.+): from/.exec(title)?.[1]),
      walked.map(({ state }) => state),
    )
    const [first, last] = [lane[0], lane.at(-1)] as [(typeof lane)[number], (typeof lane)[number]]
    const began = walked[0]?.atMicros as number
    const long = report.totalMicros - began
    const wide = last.left + last.width - first.left
    t.true(wide > 400)
    for (const [step, { left }] of lane.entries()) {
      const wanted = (((walked[step]?.atMicros as number) - began) / long) * wide
      t.true(Math.abs(left - first.left - wanted) <= tolerance, `${name}, ${step}: ${left - first.left}, not ${wanted}`)
    }
  }
})

test('a stream: the way of each device, as its events tell it', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=1MiB,pre-copy,p2p')
  const states: string[] = []
  for await (const part of inspect(stream)) {
    if (part.type !== 'text' || part.name !== 'event') continue
    const event = JSON.parse(part.text) as { type: string; to: string }
    if (event.type === 'state') states.push(event.to)
  }
  t.true(states.length >= 4)
  const { page } = await view(t, [stream], { hash: 'run' })
  await allRead(page)
  const picture = page.locator('#panel-run .vm-picture')
  await picture.waitFor()
  t.true((await picture.textContent())?.includes(states.join(' → ')), states.join())
  // The drawings have their style, which the page's policy would forbid in markup.
  const stopCopy = '#panel-run .vm-wide rect.vm-stop-copy'
  const fill = await page.evaluate<string>(`getComputedStyle(document.querySelector('${stopCopy}')).fill`)
  t.is(fill, 'rgb(240, 168, 48)')
})

/** The reports of both ends of a run: of the save, and of the restore. */
const bothEnds = async (t: ExecutionContext) => {
  const files = await filesOf(t)
  const device = 'gpu=model:size=4MiB,pre-copy,p2p'
  const ends = { from: files.file('from.json'), to: files.file('to.json') }
  const restoring = new Run(['restore', device, '--from', `unix:${files.file('s')}`, '--report', ends.to])
  t.teardown(() => restoring.child.kill('SIGKILL'))
  await restoring.said('listening')
  const saving = new Run(['save', device, '--to', `unix:${files.file('s')}`, '--report', ends.from])
  t.is((await saving.ended).status, 0)
  t.is((await restoring.ended).status, 0)
  return { files, ...ends }
}

/** The ends that a picture shows. */
const endsIn = (picture: Locator) =>
  picture.locator('.vm-wide g.vm-stretch').first().locator('.vm-end').allTextContents()

test('the reports of both ends are one picture, and either can be left out', async (t) => {
  const { files, from, to } = await bothEnds(t)
  const { page } = await view(t, [from, to, await files.write('text', 'no run')], { hash: 'run' })
  await allRead(page)
  const picture = page.locator('#panel-run .vm-picture')
  await picture.waitFor()
  t.deepEqual(await endsIn(picture), ['source', 'destination'])
  await page.getByLabel('The other end').selectOption({ label: 'not shown' })
  t.deepEqual(await endsIn(picture), ['source'])
  await page.locator('.chip .file').nth(2).click()
  await page.getByText('This file does not tell of its run.').waitFor()
  t.is(await picture.count(), 0)
})

test('a report that is opened later finds the other end of its run', async (t) => {
  const { from, to } = await bothEnds(t)
  const { page } = await view(t, [to], { hash: 'run' })
  await allRead(page)
  await page.locator('input[type=file]').setInputFiles(from)
  const both = page.locator('#panel-run .vm-wide g.vm-stretch').first().locator('.vm-end').nth(1)
  await both.waitFor()
  t.deepEqual(await endsIn(page.locator('#panel-run .vm-picture')), ['source', 'destination'])
})
