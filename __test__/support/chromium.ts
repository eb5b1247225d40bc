import { existsSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'
import { Run } from './cli.js'
import { pageBuilt } from './page-built.js'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** Why no page can be tried here, if none can. */
const whyNot = existsSync(executablePath)
  ? pageBuilt
    ? undefined
    : 'the page was not built: this machine cannot get the WASM'
  : `there is no Chromium at ${executablePath}: install it, or name it in CHROMIUM`

/** How long a wait may take, in milliseconds: a watchdog, since a busy machine may take its time. */
const patience = 100_000

/** Flags for a browser that runs as root and asks nobody for anything. */
const args = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
]

let browser: Promise<Browser> | undefined
if (whyNot === undefined) test.after.always(async () => (await browser)?.close())
else console.error(`skipped: the page in a browser: ${whyNot}`)

/** A page of a context of its own, in the browser of this file's tests. */
export const newPage = async (t: ExecutionContext, options: BrowserContextOptions = {}): Promise<Page> => {
  browser ??= chromium.launch({ executablePath, args })
  const context = await (await browser).newContext(options)
  t.teardown(() => context.close())
  context.setDefaultTimeout(patience)
  return context.newPage()
}

/** A page that is open, and what served it. */
export interface Open {
  readonly page: Page
  readonly address: string
  readonly server: Run
}

/** Everything that the page has complained about. */
export const complaints = (page: Page): string[] => {
  const all: string[] = []
  page.on('pageerror', (error) => all.push(`${error}`))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') all.push(message.text())
  })
  return all
}

/** How a page is opened. */
export interface Opening extends BrowserContextOptions {
  /** Complaints that the test is about: the page may have these. */
  readonly allowed?: RegExp
  /** Part of the address behind the `#`. */
  readonly hash?: string
  /** Called before the page is loaded. */
  readonly before?: (page: Page) => Promise<unknown>
}

/** Serves some files as `vfio-migration view` does, and opens the page. */
export const view = async (
  t: ExecutionContext,
  files: readonly string[] = [],
  { allowed, hash, before, ...options }: Opening = {},
): Promise<Open> => {
  const server = new Run(['view', ...files])
  t.teardown(() => server.child.kill('SIGKILL'))
  await server.said(/http:\/\/\S+\//)
  const [address] = /http:\/\/\S+\//.exec(server.stdout) as unknown as [string]
  const page = await newPage(t, { viewport: { width: 1200, height: 850 }, ...options })
  const said = complaints(page)
  t.teardown(() => {
    const bad = said.filter((text) => !allowed?.test(text))
    if (bad.length > 0) throw new Error(`the page complained: ${bad.join('\n')}`)
  })
  await before?.(page)
  await page.goto(hash === undefined ? address : `${address}#${hash}`)
  await page.locator('body[data-ready]').waitFor({ state: 'attached' })
  return { page, address, server }
}

/** Waits until the page has read all of its files. */
export const allRead = async (page: Page) => {
  await page.locator('.chip').first().waitFor()
  await page.locator('.chip .busy').first().waitFor({ state: 'detached' })
}

/** The facts of a part of the page, by their names. */
export const factsOf = async (part: Locator): Promise<Record<string, string>> => {
  const pairs = await part
    .locator('.facts > div')
    .evaluateAll((all) => all.map(({ children }) => [children[0]?.textContent ?? '', children[1]?.textContent ?? '']))
  return Object.fromEntries(pairs)
}

/** A test that needs a browser: skipped, with the reason above, where there is none. One after another, as they are large. */
export const browserTest = whyNot === undefined ? test.serial : test.skip
