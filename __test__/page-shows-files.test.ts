// The page in a browser, with a file of every kind: what stands in it is held against what the inspector says natively.
import { readFile } from 'node:fs/promises'
import type { Locator } from 'playwright-core'
import { inspect, type Outline, type Part } from 'vfio-migration'
import { allRead, factsOf, type Open, browserTest as test, view } from './support/chromium.js'
import { filesOf, manyParts } from './support/files-of-each-kind.js'

/** What the inspector says natively. */
const natively = async (path: string): Promise<{ outline: Outline; parts: Part[] }> => {
  const inspection = inspect(path)
  const parts: Part[] = []
  for await (const part of inspection) parts.push(part)
  return { outline: await inspection.outline(), parts }
}

const title = ({ page }: Open) => page.locator('#panel-outline .banner strong').textContent()

/** The bytes that a hex view shows, from its first row on. */
const shownBytes = async (part: Locator) => {
  const rows = await part.locator('.hex-bytes').allTextContents()
  return Buffer.from(rows.join(' ').replaceAll(/\s+/g, ''), 'hex')
}

test('files of every kind: the numbers of the outline, and every frame', async (t) => {
  const files = await filesOf(t)
  const sound = [
    await files.saved('stream', 'gpu=model:size=300KiB,seed=3,pre-copy,p2p', 'nic=model:size=100KiB,p2p'),
    await files.saved('segments', 'old=model:protocol=region,size=200KiB'),
    ...(await files.ofQemu()),
  ]
  t.true(sound.length >= 5)
  const open = await view(t, sound)
  const { page } = open
  await allRead(page)
  for (const [place, path] of sound.entries()) {
    const { outline, parts } = await natively(path)
    await page.locator('.chip .file').nth(place).click()
    t.is(await title(open), outline.format === 'stream' ? 'Verified' : 'Read to its end', path)
    const facts = await factsOf(page.locator('#panel-outline .card').first())
    t.is(
      /\((\d+) bytes\) in (\d+) parts$/
        .exec(facts.size ?? '')
        ?.slice(1)
        .join(),
      [outline.size, parts.length].join(),
    )
    t.is(facts.session, outline.session)
    t.is(facts.machine, outline.qemu?.machine)
    for (const [number, object] of outline.objects.entries()) {
      const card = page.locator('#panel-outline .object').nth(number)
      t.true((await card.locator('h3').textContent())?.startsWith(object.id))
      const shown = await factsOf(card)
      t.regex(shown.bytes as string, new RegExp(`\\(${object.bytes}\\) in ${object.frames} `))
      t.is(await card.locator('.good').count(), object.complete ? 1 : 0)
    }
    // What is drawn of its bytes adds up to the file.
    const shares = await page
      .locator('.shares .share')
      .evaluateAll((all) => all.map(({ dataset }) => dataset.bytes as string))
    t.is(
      shares.reduce((sum, bytes) => sum + BigInt(bytes), 0n),
      outline.size,
      path,
    )
    const widths = await page
      .locator('.shares .share')
      .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().width))
    const whole = widths.reduce((sum, width) => sum + width, 0)
    const largest = Number(shares[0]) / Number(outline.size)
    t.true(Math.abs((widths[0] as number) / whole - largest) < 0.05, `${widths} of ${shares}`)

    await page.keyboard.press('3')
    await page.locator('#frames-count', { hasText: new RegExp(`^${parts.length} frames and other parts$`) }).waitFor()
    const list = page.getByRole('listbox', { name: 'Frames' })
    await list.focus()
    for (const [key, part] of [
      ['Home', parts[0]],
      ['End', parts.at(-1)],
    ] as const) {
      await page.keyboard.press(key)
      const chosen = list.locator('[aria-selected="true"]')
      t.is(await chosen.locator('.frame-at').textContent(), `${part?.at}`)
      t.is(await chosen.locator('.frame-len').textContent(), `${part?.len}`)
    }
    const last = parts.at(-1) as Part
    await page.locator('#panel-frames .hex-bytes').first().waitFor()
    const bytes = await readFile(path)
    const shown = await shownBytes(page.locator('#panel-frames'))
    t.deepEqual(shown, bytes.subarray(Number(last.at), Number(last.at) + shown.length), path)
    t.true(shown.length > 0)
    await page.keyboard.press('1')
  }
})

test('damage is named, and the place of it is shown', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=300KiB')
  const damaged = await files.damaged('damaged', stream, 200_000)
  const cut = await files.write('cut', (await readFile(stream)).subarray(0, 150_000))
  const open = await view(t, [damaged, cut])
  const { page } = open
  await allRead(page)
  for (const [place, path] of [damaged, cut].entries()) {
    const { damage } = (await natively(path)).outline
    await page.locator('.chip .file').nth(place).click()
    t.is(await title(open), 'Damaged')
    const text = `at byte ${damage?.at}: expected ${damage?.expected}, found ${damage?.found}`
    t.is(await page.locator('#panel-outline .banner span').textContent(), text)
    await page.getByRole('button', { name: 'Show the place' }).click()
    const chosen = page.getByRole('listbox', { name: 'Frames' }).locator('[aria-selected="true"]')
    await chosen.waitFor()
    t.is(await chosen.locator('.frame-type').textContent(), 'damage')
    const facts = await factsOf(page.locator('#panel-frames'))
    t.is(facts['damaged at byte'], `${damage?.at}`)
    await page.keyboard.press('1')
  }
})

test('what is no migration is said: a text file, an empty one', async (t) => {
  const files = await filesOf(t)
  const open = await view(t, [await files.write('text', 'some text\n'.repeat(1000)), await files.write('empty', '')])
  const { page } = open
  await allRead(page)
  for (const place of [0, 1]) {
    await page.locator('.chip .file').nth(place).click()
    t.is(await title(open), 'No migration that is known here')
  }
})

test('a report of --report', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=300KiB,pre-copy')
  const report = JSON.parse(await readFile(`${stream}.json`, 'utf8')) as Record<string, unknown>
  const { page } = await view(t, [`${stream}.json`])
  await allRead(page)
  const facts = await factsOf(page.locator('#panel-outline'))
  t.like(facts, { end: 'source (save)', outcome: report.outcome as string, objects: 'gpu' })
  // Nothing that a file says can break the page: this one is no report.
  const odd = await files.write(
    'odd',
    '{"side":"save","outcome":"<b>","objects":[null,3,{"id":{}}],"downtime":7,"bytes":"x"}',
  )
  const { page: other } = await view(t, [odd])
  await allRead(other)
  t.is(await other.locator('#panel-outline .banner strong').textContent(), 'No migration that is known here')
})

test('a file of 100 000 frames: searched, scrolled to its end, and few rows exist', async (t) => {
  const files = await filesOf(t)
  const count = 100_000
  const { page } = await view(t, [await files.write('many', manyParts(count))])
  await allRead(page)
  await page.keyboard.press('3')
  const total = count + 2
  t.is(await page.locator('#frames-count').textContent(), `${total} frames and other parts`)
  const list = page.getByRole('listbox', { name: 'Frames' })
  await list.focus()
  await page.keyboard.press('End')
  t.is(await list.locator('[aria-selected="true"] .frame-type').textContent(), 'qemu-end')
  t.is(await list.locator('[aria-selected="true"]').getAttribute('aria-posinset'), `${total}`)
  t.true((await list.locator('.row').count()) < 100)
  await page.keyboard.press('/')
  await page.keyboard.type('qemu-header')
  await page.getByText(`1 of ${total} frames and other parts`).waitFor()
  await page.locator('#frames-search').fill('@300008')
  await list.locator('[aria-selected="true"]').waitFor()
  t.is(await list.locator('[aria-selected="true"] .frame-at').textContent(), '300008')
})

test('two files side by side: the differences that inspect --diff tells, and their bytes', async (t) => {
  const { compareFiles } = await import('vfio-migration')
  const files = await filesOf(t)
  const first = await files.saved('first', 'gpu=model:size=300KiB,seed=3')
  const second = await files.saved('second', 'gpu=model:size=300KiB,seed=4')
  const differences = await compareFiles(first, second)
  t.true(differences.length > 1)
  const { page } = await view(t, [first, second])
  await allRead(page)
  await page.keyboard.press('4')
  await page.getByText(`${differences.length} differences`).waitFor()
  const rows = await page.getByRole('listbox', { name: 'Differences' }).locator('.frame-type').allTextContents()
  t.deepEqual(
    rows,
    differences.map(({ what }) => what),
  )
  const place = differences.findIndex(({ what }) => what === 'other bytes')
  await page.getByRole('listbox', { name: 'Differences' }).locator('.row').nth(place).click()
  await page.locator('#panel-compare mark').first().waitFor()
  const parts = (await natively(first)).parts
  const at = Number(parts.find((part) => part.at === differences[place]?.first?.at)?.payload?.at)
  const shown = await shownBytes(page.locator('#panel-compare .hex-view').first())
  t.deepEqual(shown, (await readFile(first)).subarray(at, at + shown.length))
  // The same file twice is no difference.
  await page.locator('#compare-second').selectOption('0')
  await page.getByText('Choose two different files.').waitFor()
})
