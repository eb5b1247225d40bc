import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** The page is built into the package, and works under any address. */
export default defineConfig({
  root: folder('.'),
  base: './',
  // The facade as it is written, in its form for browsers.
  resolve: { alias: { '#platform': folder('../platform/browser.ts') } },
  build: {
    outDir: folder('../dist/page'),
    emptyOutDir: true,
    target: 'es2022',
    // Its policy allows nothing but files of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
  logLevel: 'warn',
})
