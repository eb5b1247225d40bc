import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { VfioError } from '../../errors.ts'

/** What the page is told about one of its files. */
export type FileState =
  | {
      readonly name: string
      readonly size: number
      /** Another one than before if the file was changed or replaced. */
      readonly tag: string
    }
  | {
      readonly name: string
      /** Why it cannot be read now. */
      readonly problem: string
    }

/** A file that is open, as it was then. */
export interface OpenFile {
  readonly handle: FileHandle
  readonly size: number
  readonly tag: string
}

const whyOf = (error: unknown) => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES' || code === 'EPERM') return 'its permissions do not allow it'
  return error instanceof Error ? error.message : String(error)
}

const unreadable = (path: string, error: unknown) =>
  new VfioError(
    'ERR_VFIO_TRANSPORT',
    `'${path}' cannot be read: ${error instanceof VfioError ? error.message : whyOf(error)}`,
    { remedy: 'name files that can be read' },
    { cause: error },
  )

const irregular = (what: string) => new VfioError('ERR_VFIO_TRANSPORT', what, {})

/** The files that were named on the command line. No others can be read, and these only by their place. */
export class NamedFiles {
  readonly #paths: readonly string[]

  private constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  /** @throws VfioError `ERR_VFIO_TRANSPORT` if one of them cannot be read, or not from any place */
  static async of(paths: readonly string[]): Promise<NamedFiles> {
    const files = new NamedFiles(paths)
    for (const [place, path] of paths.entries()) {
      try {
        await (await files.open(place))?.handle.close()
      } catch (error) {
        throw unreadable(path, error)
      }
    }
    return files
  }

  /**
   * Opens a file as it is now; `undefined` if none has this place. Each request opens it again, so that one that was
   * replaced or is gone is noticed.
   */
  async open(place: number): Promise<OpenFile | undefined> {
    const path = this.#paths[place]
    if (path === undefined) return undefined
    // A FIFO without a writer would hold us up.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await handle.stat({ bigint: true })
      if (!stat.isFile())
        throw irregular(`it is ${stat.isDirectory() ? 'a directory' : 'no file that can be read twice'}`)
      const { size, dev, ino, mtimeNs } = stat
      const tag = `"${[dev, ino, size, mtimeNs].map((number) => number.toString(36)).join('-')}"`
      return { handle, size: Number(size), tag }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** What is known of all of them now. */
  async states(): Promise<FileState[]> {
    return Promise.all(
      this.#paths.map(async (path, place) => {
        const name = basename(path)
        try {
          const { handle, size, tag } = (await this.open(place)) as OpenFile
          await handle.close()
          return { name, size, tag }
        } catch (error) {
          return { name, problem: error instanceof VfioError ? error.message : whyOf(error) }
        }
      }),
    )
  }
}
