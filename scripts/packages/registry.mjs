// A registry of our own packages on a loopback port, so that npm installs them as it will for users: by name, choosing the
// platform, checking what it got. What is not ours it sends to the registry that npm uses here.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, join } from 'node:path'
import { run } from '../../testbed/cache.mjs'
import { pack } from './layout.mjs'

/** A package as its registry describes it; `url` is where its tarball lies. */
const description = (folder, tarball, url) => {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const content = readFileSync(tarball)
  const dist = {
    tarball: url,
    shasum: createHash('sha1').update(content).digest('hex'),
    integrity: `sha512-${createHash('sha512').update(content).digest('base64')}`,
  }
  const { name, version } = manifest
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } }
}

/**
 * Serves packages that were laid into folders.
 *
 * @param {string[]} folders the packages
 * @param {string} into where their tarballs go
 * @returns {Promise<{ url: string, tarballs: Map<string, { path: string, size: number, files: string[] }>,
 *   close: () => void }>}
 */
export const serve = async (folders, into) => {
  const upstream = run('npm', ['config', 'get', 'registry'], { cwd: into }).trim().replace(/\/$/, '')
  const described = new Map()
  const contents = new Map()
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url.slice(1))
    if (described.has(path)) {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(described.get(path)))
    } else if (contents.has(path)) response.end(contents.get(path))
    else response.writeHead(302, { location: `${upstream}${request.url}` }).end()
  })
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${server.address().port}`
  const tarballs = new Map()
  for (const folder of folders) {
    const [path, size, files] = pack(folder, into)
    const name = basename(folder)
    described.set(name, description(folder, path, `${url}/-/${basename(path)}`))
    contents.set(`-/${basename(path)}`, readFileSync(path))
    tarballs.set(name, { path, size, files })
  }
  return { url, tarballs, close: () => server.close() }
}
