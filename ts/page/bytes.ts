/** What went wrong with a file, for the person who looks at it. */
export interface Failure {
  readonly message: string
  readonly remedy?: string
}

/** Thrown where a file cannot be read, or not any more. */
export class Unreadable extends Error {
  readonly remedy: string

  constructor(message: string, remedy = 'open it again') {
    super(message)
    this.remedy = remedy
  }
}

/** Where a file's bytes come from. It can be sent to a worker. */
export type Origin =
  /** Dropped, or chosen. */
  { readonly file: File } | Handed

/** A file that was named on the command line: the server has it under this address, as it was when it had this tag. */
export interface Handed {
  readonly url: string
  readonly tag: string
  readonly name: string
  readonly size: number
}

export const nameOf = (origin: Origin) => ('file' in origin ? origin.file.name : origin.name)
export const sizeOf = (origin: Origin) => ('file' in origin ? origin.file.size : origin.size)

/** Why a file that was there can no longer be read: what the server says of it now. */
const whyGone = async (url: string, tag: string, size: number): Promise<Unreadable | undefined> => {
  let now: Response
  try {
    now = await fetch(url, { method: 'HEAD' })
  } catch {
    return new Unreadable(
      'vfio-migration view does not answer any more',
      'start it again, and use the address it prints',
    )
  }
  if (!now.ok) return new Unreadable('the file disappeared, or cannot be read any more')
  if (now.headers.get('ETag') === tag) return undefined
  const length = Number(now.headers.get('Content-Length'))
  const how = length < size ? `shrank from ${size} to ${length} bytes` : length > size ? 'grew' : 'was changed'
  return new Unreadable(`the file ${how} while it was looked at`, 'open the page again to see it as it is now')
}

const fetched = async ({ url, tag, size }: Handed, range?: string): Promise<Response> => {
  let response: Response | undefined
  try {
    response = await fetch(url, { headers: { 'If-Match': tag, ...(range ? { Range: range } : {}) } })
    if (response.ok) return response
  } catch {
    // What the server says of the file tells more than the browser's error.
  }
  const why = await whyGone(url, tag, size)
  throw why ?? new Unreadable(`the file cannot be read: the server answered ${response?.status ?? 'nothing'}`)
}

const changedOnDisk = (file: File, error: unknown) =>
  new Unreadable(
    `'${file.name}' cannot be read: it was changed or removed after it was opened (${error instanceof Error ? error.message : error})`,
  )

/**
 * The bytes from `start` to before `beyond`, as far as there are any, and no others: a file may be larger than memory.
 *
 * @throws Unreadable
 */
export const slice = async (origin: Origin, start: number, beyond: number): Promise<Uint8Array> => {
  const end = Math.min(beyond, sizeOf(origin))
  if (end <= start) return new Uint8Array()
  if ('file' in origin) {
    try {
      return new Uint8Array(await origin.file.slice(start, end).arrayBuffer())
    } catch (error) {
      throw changedOnDisk(origin.file, error)
    }
  }
  const response = await fetched(origin, `bytes=${start}-${end - 1}`)
  try {
    return new Uint8Array(await response.arrayBuffer())
  } catch {
    throw (
      (await whyGone(origin.url, origin.tag, origin.size)) ?? new Unreadable('the file could not be read to its end')
    )
  }
}

/**
 * All bytes of a file, in pieces, as fast as they are taken. That it was changed meanwhile is noticed at its end.
 *
 * @throws Unreadable
 */
export const pieces = async function* (origin: Origin, read: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const body = 'file' in origin ? origin.file.stream() : (await fetched(origin)).body
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  let total = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      total += value.length
      yield value
      read(total)
    }
  } catch (error) {
    if ('file' in origin) throw changedOnDisk(origin.file, error)
    throw (await whyGone(origin.url, origin.tag, origin.size)) ?? error
  } finally {
    // Nobody may want the rest.
    reader.cancel().catch(() => {})
  }
  if ('file' in origin) return
  const changed = await whyGone(origin.url, origin.tag, origin.size)
  if (changed) throw changed
}
