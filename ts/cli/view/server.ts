import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { VfioError } from '../../errors.ts'
import { toJson } from '../../json.ts'
import { type Asset, pageAssets } from './assets.ts'
import type { NamedFiles } from './files.ts'
import { rangeOf } from './range.ts'

/** Only programs of this machine reach it. */
const host = '127.0.0.1'

/**
 * What every answer says. The first three give the page the shared memory that the WASM needs; the rest lets it load
 * nothing but itself, and nobody else load it.
 */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
}

/** A page that is being served. */
export interface PageServer {
  /** Where, with the token that lets a browser in. */
  readonly address: string
  /** Ends it, whoever is connected. */
  close(): Promise<void>
}

const digest = (text: string) => createHash('sha256').update(text).digest()

/**
 * Serves the page, and the files that were named, on a loopback port; 0 for any. Whoever does not know the token gets
 * nothing, nor does a site whose name leads here.
 *
 * @throws VfioError `ERR_VFIO_TRANSPORT` if the port cannot be had, `ERR_VFIO_PLATFORM` if the page was not built
 */
export const servePage = async (files: NamedFiles, port: number): Promise<PageServer> => {
  const assets = await pageAssets()
  const token = randomBytes(24).toString('base64url')
  const secret = digest(token)
  let hosts: ReadonlySet<string> = new Set()

  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    answer(request, response).catch((error: unknown) => {
      // Whoever went away while a file was read to him does not need an answer.
      if (response.headersSent) response.destroy()
      else refuse(response, 500, error instanceof Error ? error.message : String(error))
    })
  })

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (!hosts.has(request.headers.host ?? '')) return refuse(response, 421, 'this page is served to this machine only')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return refuse(response, 405, 'this page can only be read')
    }
    const [, given = '', path = ''] = /^\/([^/?]*)\/?([^?]*)/.exec(request.url ?? '') ?? []
    if (!timingSafeEqual(digest(given), secret)) {
      return refuse(response, 403, 'use the whole address that vfio-migration view has printed')
    }
    if (path === '' && !request.url?.startsWith(`/${token}/`)) {
      response.setHeader('Location', `/${token}/`)
      return refuse(response, 308, 'the address ends with a slash')
    }
    const asset = assets.get(path)
    if (asset) return sendAsset(request, response, asset)
    if (path === 'files.json') return sendText(request, response, 200, toJson(await files.states()))
    const [, place] = /^files\/(\d{1,9})$/.exec(path) ?? []
    if (place === undefined) return refuse(response, 404, 'there is no such part of the page')
    return sendFile(request, response, files, Number(place))
  }

  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw notListening(port, error)
  }
  const { port: got } = server.address() as AddressInfo
  hosts = new Set([`${host}:${got}`, `localhost:${got}`, ...(got === 80 ? [host, 'localhost'] : [])])
  return {
    address: `http://${host}:${got}/${token}/`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const notListening = (port: number, error: unknown) => {
  const { code, message } = error as NodeJS.ErrnoException
  const why = code === 'EADDRINUSE' ? 'it is in use' : code === 'EACCES' ? 'only root may listen there' : message
  return new VfioError(
    'ERR_VFIO_TRANSPORT',
    `the page cannot be served at port ${port}: ${why}`,
    { remedy: 'choose another one with --port, or leave it out for any' },
    { cause: error },
  )
}

const sendText = (request: IncomingMessage, response: ServerResponse, status: number, text: string) => {
  const type = text.startsWith('[') || text.startsWith('{') ? 'application/json' : 'text/plain; charset=utf-8'
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) })
  response.end(request.method === 'HEAD' ? undefined : text)
}

const refuse = (response: ServerResponse, status: number, why: string) =>
  sendText(response.req, response, status, `${why}\n`)

const sendAsset = (request: IncomingMessage, response: ServerResponse, { type, bytes }: Asset) => {
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': bytes.length })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

/** A file or a range of it, as fast as it is taken. One that became shorter meanwhile breaks the connection. */
const sendFile = async (request: IncomingMessage, response: ServerResponse, files: NamedFiles, place: number) => {
  const file = await files.open(place).catch(() => 'gone' as const)
  if (file === undefined) return refuse(response, 404, 'no file has this number')
  if (file === 'gone') return refuse(response, 410, 'the file cannot be read any more')
  const { handle, size, tag } = file
  try {
    response.setHeader('ETag', tag)
    response.setHeader('Accept-Ranges', 'bytes')
    const wanted = request.headers['if-match']
    if (wanted !== undefined && wanted !== tag) return refuse(response, 412, 'the file is another one than before')
    const range = rangeOf(request.headers.range, size)
    if (range === 'outside') {
      response.setHeader('Content-Range', `bytes */${size}`)
      return refuse(response, 416, 'the file does not reach that far')
    }
    const { start, end } = range ?? { start: 0, end: size }
    if (range) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${size}`)
    response.writeHead(range ? 206 : 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': end - start,
    })
    if (request.method === 'HEAD' || start === end) return response.end()
    const stream = handle.createReadStream({ start, end: end - 1, highWaterMark: 1 << 18, autoClose: false })
    await pipeline(stream, response, { end: false })
    if (stream.bytesRead < end - start) response.destroy()
    else response.end()
  } finally {
    await handle.close()
  }
}
