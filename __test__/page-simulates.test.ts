// The simulation in the page: what it shows is what the same scenario does elsewhere; back and forth; in the address.
import type { Page } from 'playwright-core'
import { scenarioText, simulate } from 'vfio-migration/simulation'
import { browserTest as test, view } from './support/chromium.js'
import { stepOf } from './support/steps.js'

const base = 'seed=2&devices=stop-copy+p2p+pre-copy&data=9000&pages=0'
const textOf = (address: string) => address.replaceAll('&', ' ')
const refused = `${base}&fault=${stepOf(textOf(base), 'restore', 'set state resuming to stop')}:breaks`

/** Waits until the simulation of an address is shown. */
const shown = async (page: Page, address: string) => {
  await page.locator('#panel-simulate .replay', { hasText: `'${textOf(address)}'` }).waitFor()
  await page.locator('#panel-simulate [role="status"][aria-busy="false"]').waitFor()
  await page.locator('#panel-simulate svg.vm-timeline').first().waitFor({ state: 'attached' })
}

const place = (page: Page) => page.locator('#panel-simulate output').textContent()
const says = (page: Page) => page.locator('#panel-simulate [role="status"]').textContent()
const states = (page: Page, side: string) => page.locator(`.end[data-side="${side}"] .state`).allTextContents()

test('a fault: the course is the one that it takes natively, and its picture is drawn', async (t) => {
  const course = simulate(textOf(refused))
  const { page } = await view(t, [], { hash: `simulate?${refused}` })
  await shown(page, refused)
  t.is(await says(page), 'Source: returned. Destination: reset. The guest runs at the source.')
  await page.getByLabel('every call and message').check()
  t.is(await place(page), `1 of ${course.moments.length}`)
  // Moment by moment the same, in WASM as natively.
  const list = page.getByRole('listbox', { name: 'Moments' })
  await list.focus()
  for (const [at, moment] of course.moments.entries()) {
    if (at % 20 !== 0) continue
    await page.getByLabel('Moment', { exact: true }).fill(`${at}`)
    t.regex((await page.locator('.moment-text').textContent()) ?? '', new RegExp(`^${moment.atMicros} µs`))
    t.true((await page.locator('.moment-text').textContent())?.endsWith(moment.text))
    t.deepEqual(await states(page, 'save'), [...moment.then.save.devices])
    t.deepEqual(await states(page, 'restore'), [...moment.then.restore.devices])
    t.is(await page.locator('.owner').getAttribute('data-owner'), moment.then.owner)
  }
})

test('back and forth, by buttons and by keys, with a line in the picture where the moment is', async (t) => {
  const { page } = await view(t, [], { hash: `simulate?${refused}` })
  await shown(page, refused)
  const x = async () => {
    const line = await page.locator('.vm-wide .now').first().getAttribute('d')
    return Number(/^M([\d.]+)/.exec(line ?? '')?.[1])
  }
  const begin = await x()
  await page.getByRole('button', { name: 'To the end' }).click()
  const [, last] = /of (\d+)/.exec((await place(page)) ?? '') ?? []
  t.is(await place(page), `${last} of ${last}`)
  const end = await x()
  t.true(end > begin)
  t.is(Number(await page.locator('.vm-wide .veil').first().getAttribute('width')), 0)
  await page.keyboard.press('Home')
  t.is(await x(), begin)
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowRight')
  t.is(await place(page), `3 of ${last}`)
  await page.keyboard.press('ArrowLeft')
  t.is(await place(page), `2 of ${last}`)
  await page.getByRole('button', { name: 'Play' }).click()
  await page.getByText(`5 of ${last}`).waitFor()
  await page.keyboard.press(' ')
  t.is(await page.locator('.player .primary').textContent(), 'Play')
  // The line is where the moment is on the axis.
  await page.getByLabel('every call and message').check()
  const course = simulate(textOf(refused))
  const middle = course.moments[Math.floor(course.moments.length / 2)]
  await page.getByLabel('Moment', { exact: true }).fill(`${Math.floor(course.moments.length / 2)}`)
  const share = (middle?.atMicros ?? 0) / course.tookMicros
  t.true(Math.abs((await x()) - (begin + share * (end - begin))) < 1)
})

test('what is chosen stands in the address, which brings it back', async (t) => {
  const { page, address } = await view(t, [], { hash: 'simulate' })
  await page.locator('#panel-simulate svg.vm-timeline').first().waitFor({ state: 'attached' })
  await page.locator('#device1-kind').selectOption('thread')
  await page.locator('#choice-pages').fill('4')
  await page.locator('#choice-pages').press('Enter')
  await page.locator('#choice-seed').fill('9')
  await page.locator('#choice-seed').press('Enter')
  await page
    .getByText(/seed=9/)
    .first()
    .waitFor()
  const scenario = scenarioText({
    seed: 9,
    devices: [
      { capabilities: ['p2p', 'pre-copy', 'dirty-tracking'] },
      { capabilities: ['pre-copy', 'p2p', 'dirty-tracking'], protocol: 'region' },
    ],
    pages: 4,
  })
  const hash = new URL(page.url()).hash
  const words = [...new URLSearchParams(hash.split('?')[1])].map(
    ([word, value]) => `${word}=${value.replaceAll(' ', '+')}`,
  )
  const sorted = (text: string) =>
    text
      .split(' ')
      .map((word) => word.split(/[=+,]/).sort().join())
      .sort()
  t.deepEqual(sorted(words.join(' ')), sorted(scenario))
  const before = await says(page)
  t.is(before, 'Source: completed. Destination: completed. The guest runs at the destination.')
  const seen = await place(page)
  // From nothing but the address.
  await page.goto('about:blank')
  await page.goto(`${address}${hash}`)
  await page.locator('#panel-simulate svg.vm-timeline').first().waitFor({ state: 'attached' })
  t.is(await page.locator('#device1-kind').inputValue(), 'thread')
  t.is(await page.locator('#choice-pages').inputValue(), '4')
  t.is(await says(page), before)
  t.is(await place(page), seen)
})

test('what if: a call is made to fail, and the fault is taken away again', async (t) => {
  const { page } = await view(t, [], { hash: `simulate?${base}` })
  await shown(page, base)
  await page.getByLabel('every call and message').check()
  const pause = simulate(textOf(base)).moments.findIndex(
    (moment) => moment.type === 'step' && moment.does === 'hook pause',
  )
  await page.getByLabel('Moment', { exact: true }).fill(`${pause}`)
  await page.getByRole('button', { name: 'fails', exact: true }).click()
  const fault = `fault=${stepOf(textOf(base), 'save', 'hook pause')}:fails(5)`
  await shown(page, `${base}&${fault}`)
  t.regex((await says(page)) ?? '', /^Source: returned\./)
  await page.getByRole('button', { name: `Take away ${fault}` }).click()
  await shown(page, base)
  t.regex((await says(page)) ?? '', /^Source: completed\./)
})

test('what is no scenario is said on the page, and what is out of bounds', async (t) => {
  const { page } = await view(t, [], { hash: 'simulate?seed=2&sed=7' })
  await page.getByText(/'sed=7' is no part of a scenario/).waitFor()
  await page.evaluate("location.hash = 'simulate?data=99999999'")
  await page.getByText(/from 0 to 524288/).waitFor()
  await page.evaluate(`location.hash = 'simulate?${base}'`)
  await shown(page, base)
  t.regex((await says(page)) ?? '', /^Source: completed\./)
})

test('by keyboard only, on a screen 400 pixels wide', async (t) => {
  const { page } = await view(t, [], { hash: `simulate?${refused}`, viewport: { width: 400, height: 800 } })
  await shown(page, refused)
  const width = () => page.evaluate<number>('document.documentElement.scrollWidth')
  t.is(await width(), 400)
  const focused = () =>
    page.evaluate<string>('document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent')
  const seen: string[] = []
  for (let presses = 0; presses < 60 && !seen.includes('Moments'); presses += 1) {
    await page.keyboard.press('Tab')
    seen.push(await focused())
  }
  for (const name of ['To the beginning', 'Play', 'To the end', 'Moment', 'Moments']) t.true(seen.includes(name), name)
  await page.keyboard.press('ArrowDown')
  t.regex((await place(page)) ?? '', /^2 of /)
  await page.keyboard.press('End')
  t.is(await width(), 400)
  const timeline = page.locator('.vm-narrow svg')
  t.true(await timeline.isVisible())
})
