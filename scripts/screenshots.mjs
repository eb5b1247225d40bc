// Makes the README's pictures of the page, from real files, in a real browser: `node scripts/screenshots.mjs`. The browser
// is the one in CHROMIUM, or /usr/bin/chromium.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { root, setup } from './setup.mjs'

setup(['packages', 'native', 'wasm', 'page', 'typescript'])
const main = join(root, 'ts/dist/cli/main.js')
const folder = mkdtempSync(join(tmpdir(), 'vfio-migration-screenshots-'))
const file = (name) => join(folder, name)

/** What readers load with the README. */
const largest = 150_000

const run = (...args) => {
  const { status } = spawnSync(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${args.join(' ')}: status ${status}`)
}

/** A program that is waited for until it says something. */
const started = async (what, ...args) => {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = new Promise((resolve) => {
    let text = ''
    const hear = (piece) => {
      text += piece
      const found = what.exec(text)
      if (found) resolve(found[0])
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
  })
  return { child, said: await said }
}

/** Files worth a picture: what a save of two devices wrote, and a guest that QEMU saved. */
const prepare = () => {
  const devices = ['gpu=model:size=96MiB,pre-copy,p2p', 'nic=model:size=16MiB,pre-copy,p2p']
  run('save', ...devices, '--to', file('two-devices'), '--rate', '160MiB', '--quiet')
  writeFileSync(file('guest.qemu'), gunzipSync(readFileSync(join(root, 'testbed/vmm/samples/qemu-11.1.gz'))))
  return ['two-devices', 'guest.qemu'].map(file)
}

/** The pictures: what is done before each. */
const shots = {
  'view-run': {
    colorScheme: 'light',
    before: async (page) => {
      await page.keyboard.press('2')
      await page.locator('.vm-picture').waitFor()
    },
  },
  'view-frames': {
    colorScheme: 'dark',
    before: async (page) => {
      await page.locator('.chip .file').nth(1).click()
      await page.keyboard.press('3')
      await page.locator('#frames-search').fill('vfio')
      await page.getByRole('listbox', { name: 'Frames' }).locator('.row', { hasText: 'vfio-data' }).first().click()
      await page.locator('#panel-frames .hex-bytes').first().waitFor()
    },
  },
  'view-simulate': {
    colorScheme: 'light',
    height: 880,
    before: async (page) => {
      // The destination's device refuses what it was given, and the source is on the way back.
      const scenario = 'seed=2&devices=stop-copy+p2p+pre-copy&pages=0&data=9000&fault=restore:27:breaks'
      await page.evaluate((to) => location.assign(to), `#simulate?${scenario}`)
      const panel = page.locator('#panel-simulate')
      const verdict = panel.locator('[role="status"][aria-busy="false"]')
      await verdict.waitFor()
      await panel.locator('svg.vm-timeline').first().waitFor({ state: 'attached' })
      await page.keyboard.press('End')
      for (let back = 0; back < 5; back += 1) await page.keyboard.press('ArrowLeft')
      await verdict.evaluate((element) => element.scrollIntoView())
    },
  },
}

try {
  const server = await started(/http:\S+\//, 'view', ...prepare())
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  })
  try {
    for (const [name, { colorScheme, height = 640, before }] of Object.entries(shots)) {
      const page = await browser.newPage({ viewport: { width: 1080, height }, colorScheme })
      await page.goto(server.said)
      await page.locator('.chip .busy').first().waitFor({ state: 'detached' })
      await before(page)
      const path = join(root, `docs/${name}.png`)
      await page.screenshot({ path, animations: 'disabled' })
      const { size } = statSync(path)
      console.error(`docs/${name}.png: ${Math.ceil(size / 1000)} kB`)
      if (size > largest) throw new Error(`docs/${name}.png is larger than ${largest} bytes`)
    }
  } finally {
    await browser.close()
    server.child.kill('SIGINT')
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
