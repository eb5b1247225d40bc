import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { access, link, lstat, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { usage, VfioError } from '../errors.ts'
import type { Run } from '../picture/run.ts'
import type { Arguments } from './arguments.ts'

/** A picture of a run that is wanted as a file of its own. */
export interface WantedPicture {
  readonly path: string
  /**
   * Draws the run and writes it: the file is there whole, or not at all.
   *
   * @throws VfioError `ERR_VFIO_EXISTS`, `ERR_VFIO_TRANSPORT`
   */
  write(run: Run, title: string): Promise<void>
}

const exists = (path: string) =>
  new VfioError('ERR_VFIO_EXISTS', `the picture was not written: '${path}' exists`, {
    remedy: 'choose another name, or give --force',
  })

const unwritten = (error: unknown) => {
  const why = error instanceof Error ? error.message : String(error)
  return new VfioError(
    'ERR_VFIO_TRANSPORT',
    `the picture was not written: ${why}`,
    { remedy: 'check the path of --html' },
    { cause: error },
  )
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

/** Whether something has this name, be it a link that leads nowhere. */
const taken = async (path: string) => {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw unwritten(error)
  }
}

/** Gives a file its name, which nothing else may have. */
const publish = async (half: string, path: string) => {
  try {
    await link(half, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw exists(path)
    // Where a file system has no hard links, somebody could take the name in between.
    if (await taken(path)) throw exists(path)
    return await rename(half, path)
  }
  await rm(half)
}

const write = async (path: string, text: string, force: boolean) => {
  const half = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`)
  try {
    const file = await open(half, 'wx')
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    if (force) await rename(half, path)
    else await publish(half, path)
  } catch (error) {
    await rm(half, { force: true })
    throw error instanceof VfioError ? error : unwritten(error)
  }
}

/**
 * Reads `--html FILE`. What could not be written is refused now, before anything is done to a device.
 *
 * @throws VfioError as {@link WantedPicture.write}, and `ERR_VFIO_USAGE`
 */
export const wantedPicture = async (values: Arguments['values']): Promise<WantedPicture | undefined> => {
  const path = values.get('html')
  if (path === undefined) return undefined
  if (path === '' || path === '-') throw usage('--html needs the name of a file', { remedy: 'give --html FILE' })
  const force = values.has('force')
  if (!force && (await taken(path))) throw exists(path)
  try {
    await access(dirname(path), constants.W_OK)
    if (force && (await taken(path)) && (await lstat(path)).isDirectory()) throw new Error(`'${path}' is a directory`)
  } catch (error) {
    throw unwritten(error)
  }
  // Loaded only where a picture is wanted, and before the run: nothing that is missing then spoils its end.
  const { pictureDocument } = await import('../picture/document.ts')
  return { path, write: (run, title) => write(path, pictureDocument(run, { title }), force) }
}
