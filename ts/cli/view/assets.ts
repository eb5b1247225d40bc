import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { VfioError } from '../../errors.ts'

/** One file of the page. */
export interface Asset {
  readonly type: string
  readonly bytes: Buffer
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

/**
 * The page as it was built, by the paths under which it is asked for.
 *
 * @throws VfioError `ERR_VFIO_PLATFORM` if it was not built
 */
export const pageAssets = async (): Promise<ReadonlyMap<string, Asset>> => {
  const folder = fileURLToPath(new URL('../../page/', import.meta.url))
  const assets = new Map<string, Asset>()
  for (const path of await readdir(folder, { recursive: true }).catch(() => [])) {
    const type = types[extname(path)]
    if (type !== undefined) assets.set(path, { type, bytes: await readFile(join(folder, path)) })
  }
  const index = assets.get('index.html')
  if (index === undefined) {
    throw new VfioError('ERR_VFIO_PLATFORM', 'the page is missing from this installation', {
      file: join(folder, 'index.html'),
      remedy: 'install the package again; in a checkout run "npm run build:page"',
    })
  }
  return assets.set('', index)
}
