// The page by keyboard only, on a narrow screen, dark and light, and where something is missing or changes meanwhile.
import { rename, truncate, writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { allRead, browserTest as test, view } from './support/chromium.js'
import { filesOf } from './support/files-of-each-kind.js'

/** What has the focus, by its name for everybody. */
const focused = (page: Page) =>
  page.evaluate<string>('document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent')

/** Presses Tab until something has the focus; fails if it never gets it. */
const tabTo = async (page: Page, wanted: RegExp) => {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab')
    if (wanted.test(await focused(page))) return
  }
  throw new Error(`Tab never comes to ${wanted}`)
}

test('by keyboard only: files, tabs, frames, search, keys, closing', async (t) => {
  const files = await filesOf(t)
  const first = await files.saved('first', 'gpu=model:size=300KiB')
  const second = await files.saved('second', 'gpu=model:size=300KiB,seed=9')
  const { page } = await view(t, [first, second])
  await allRead(page)
  await tabTo(page, /first/)
  await page.keyboard.press('ArrowRight')
  t.regex(await focused(page), /second/)
  t.is(await page.locator('.file[aria-checked="true"] .file-name').textContent(), 'second')
  await tabTo(page, /^Outline$/)
  await page.keyboard.press('ArrowRight')
  t.is(await focused(page), 'Run')
  await page.keyboard.press('ArrowRight')
  t.is(await focused(page), 'Frames')
  t.regex(page.url(), /#frames$/)
  // Two keys at once, faster than anybody: each starts from what the one before has shown.
  const arrow = (key: string) =>
    `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '${key}', bubbles: true }))`
  await page.evaluate(`${arrow('ArrowRight')}; ${arrow('ArrowRight')}`)
  t.is(await focused(page), 'Simulate')
  t.regex(page.url(), /#simulate/)
  await page.evaluate(`${arrow('ArrowLeft')}; ${arrow('ArrowLeft')}`)
  t.is(await focused(page), 'Frames')
  t.true(await page.locator('#panel-frames').isVisible())
  await page.goBack()
  t.true(await page.locator('#panel-compare').isVisible())
  t.false(await page.locator('#panel-frames').isVisible())
  await page.goForward()
  t.true(await page.locator('#panel-frames').isVisible())
  // What has the focus can be seen.
  const outline = await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle')
  t.is(outline, 'solid')
  // Before it was counted the list is empty, and nothing that could have the focus.
  await page.locator('#frames-count', { hasText: 'frames and other parts' }).waitFor()
  await tabTo(page, /^Frames$/)
  t.is(await page.evaluate<string>('document.activeElement.getAttribute("role")'), 'listbox')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowDown')
  t.is(await page.locator('#panel-frames h3').first().textContent(), 'table')
  await page.keyboard.press('ArrowUp')
  t.is(await page.locator('#panel-frames h3').first().textContent(), 'preamble')
  await tabTo(page, /^Bytes of the part$/)
  await page.keyboard.press('/')
  await page.keyboard.type('object-end')
  await page.getByText(/^1 of \d+ frames/).waitFor()
  await page.keyboard.press('Enter')
  t.is(await page.locator('#panel-frames h3').first().textContent(), 'object-endgpu')
  await page.keyboard.press('4')
  await page.getByText(/^\d+ differences?$/).waitFor()
  await page.keyboard.press('?')
  t.true(await page.getByRole('dialog').isVisible())
  await page.keyboard.press('Escape')
  t.false(await page.getByRole('dialog').isVisible())
  await page.locator('.file[aria-checked="true"]').focus()
  await page.keyboard.press('Delete')
  t.deepEqual(await page.locator('.file-name').allTextContents(), ['first'])
  await page.keyboard.press('Delete')
  t.true(await page.getByText('Drop a file here').isVisible())
})

test('a screen 400 pixels wide: nothing is wider than it', async (t) => {
  const files = await filesOf(t)
  const first = await files.saved(
    'a-file-with-a-name-that-is-longer-than-a-narrow-screen-is-wide',
    'gpu=model:size=300KiB',
  )
  const [second] = (await files.ofQemu()) as [string]
  const { page } = await view(t, [first, second], { viewport: { width: 400, height: 800 } })
  await allRead(page)
  const width = () => page.evaluate<number>('document.documentElement.scrollWidth')
  for (const file of [0, 1]) {
    await page.locator('.chip .file').nth(file).click()
    for (const key of ['1', '2', '3', '4']) {
      await page.keyboard.press(key)
      if (key === '3') await page.getByRole('listbox', { name: 'Frames' }).locator('.row').nth(2).click()
      t.is(await width(), 400, `file ${file}, tab ${key}`)
    }
    await page.keyboard.press('1')
  }
  // A row of bytes fits as well.
  await page.keyboard.press('3')
  const hex = page.locator('#panel-frames .hex')
  t.true(await hex.evaluate((one) => one.scrollWidth <= one.clientWidth))
})

/** The contrast between a text and what is behind it (WCAG 2.2, 1.4.3). */
const contrast = (one: string, other: string) => {
  const luminance = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).map((value) => {
      const share = Number(value) / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

test('dark and light: both can be read', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=300KiB')
  const damaged = await files.damaged('damaged', stream, 150_000)
  const papers: string[] = []
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page } = await view(t, [stream, damaged], { colorScheme })
    await allRead(page)
    const colours = (selector: string) =>
      page.evaluate<[string, string]>(`(() => {
        const element = document.querySelector(${JSON.stringify(selector)})
        let behind = element
        while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement
        return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
      })()`)
    for (const selector of [
      'h1',
      '.file-name',
      '.tabs [aria-selected="false"]',
      '.banner span',
      '.facts dt',
      '.facts dd',
      '.tag',
    ]) {
      const [text, paper] = await colours(selector)
      t.true(contrast(text, paper) >= 4.5, `${colorScheme}: ${selector}: ${text} on ${paper}`)
    }
    await page.locator('.chip .file').nth(1).click()
    const [text, paper] = await colours('.banner.bad span')
    t.true(contrast(text, paper) >= 4.5, `${colorScheme}: damage: ${text} on ${paper}`)
    papers.push((await colours('body'))[1])
  }
  t.not(papers[0], papers[1])
})

test('a browser that gives no shared memory: the page says so, and which headers it takes', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=64KiB')
  const { page } = await view(t, [stream], {
    before: (opened) =>
      opened.route('**/*', async (route) => {
        const response = await route.fetch()
        const headers = Object.fromEntries(
          Object.entries(response.headers()).filter(([name]) => !name.startsWith('cross-origin')),
        )
        await route.fulfill({ response, headers })
      }),
  })
  const alert = page.getByRole('alert')
  t.regex((await alert.textContent()) as string, /no shared memory.*Cross-Origin-Opener-Policy: same-origin/)
  // What looks into files says it too, instead of failing somewhere.
  await allRead(page)
  t.regex((await page.locator('#panel-outline .banner').textContent()) as string, /could not be read.*shared memory/)
})

test('files are opened by choosing and by dropping them', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=64KiB')
  const { page } = await view(t)
  t.true(await page.getByText('Drop a file here').isVisible())
  await page.locator('input[type=file]').setInputFiles(stream)
  await allRead(page)
  t.is(await page.locator('#panel-outline .banner strong').textContent(), 'Verified')
  await page.evaluate(`(() => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File(['some text'], 'dropped'))
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
  })()`)
  await page.locator('.file[aria-checked="true"]', { hasText: 'dropped' }).waitFor()
  await allRead(page)
  t.is(await page.locator('#panel-outline .banner strong').textContent(), 'No migration that is known here')
})

/** The server answers 412 or 410, which Chromium writes to the console. */
const allowed = /the server responded with a status of 41[02]|net::ERR_/

test('a file that shrinks while it is read, one that is replaced and one that is gone: the page says so', async (t) => {
  const files = await filesOf(t)
  const stream = await files.saved('stream', 'gpu=model:size=300KiB')
  const gone = await files.saved('gone', 'gpu=model:size=300KiB')
  const { page } = await view(t, [stream, gone], { allowed })
  await allRead(page)
  await page.keyboard.press('3')
  const list = page.getByRole('listbox', { name: 'Frames' })
  const problem = page.locator('#panel-frames .problem')
  await truncate(stream, 1000)
  await list.focus()
  await page.keyboard.press('End')
  await page.getByText(/shrank from \d+ to 1000 bytes while it was looked at/).waitFor()
  t.regex((await problem.textContent()) as string, /shrank/)
  await rename(gone, `${gone}.away`)
  await page.locator('.chip .file').nth(1).click()
  await list.focus()
  await page.keyboard.press('Home')
  await page.getByText('the file disappeared, or cannot be read any more').waitFor()
})

test('a file that shrinks in the middle of being read is not taken for a damaged one', async (t) => {
  const files = await filesOf(t)
  // Too large to be read before it shrinks: the browser takes it at the speed of the decoder.
  const large = await files.write('large', Buffer.from('5145564d00000003', 'hex'))
  await truncate(large, 20 * 2 ** 30)
  const { page } = await view(t, [large], { allowed })
  await page.getByText(/^\d+% of 20 GiB$/).waitFor()
  await writeFile(large, 'QEVM')
  await page.getByText(/shrank from 21474836480 to 4 bytes while it was looked at/).waitFor()
  t.is(await page.locator('#panel-outline .banner strong').textContent(), 'It could not be read')
})
