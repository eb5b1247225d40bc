import { bytes } from '../quantity.ts'
import type { OpenedFile } from './files.ts'

/** What is to be said first of a file. */
export interface Verdict {
  readonly tone: 'good' | 'bad' | 'busy' | 'plain'
  readonly title: string
  readonly text: string
  /** The byte that it is about. */
  readonly at?: bigint
}

/** Whether a file is sound, or where it is not and why; or how far it was read. */
export const judge = ({ progress, outline, report, size }: OpenedFile): Verdict => {
  if (progress.kind === 'failed') {
    const { message, remedy } = progress.failure
    return { tone: 'bad', title: 'It could not be read', text: remedy ? `${message} (${remedy})` : message }
  }
  if (progress.kind === 'reading') {
    const share = size > 0 ? Math.floor((progress.bytes / size) * 100) : 0
    return { tone: 'busy', title: 'Reading', text: `${share}% of ${bytes(size)}` }
  }
  if (report !== undefined) return { tone: 'plain', title: 'A report', text: 'the course of one end of a migration' }
  if (outline === undefined) return { tone: 'bad', title: 'Nothing came of it', text: 'open it again' }
  const { damage, problems, format, ending } = outline
  if (damage) {
    const { at, expected, found } = damage
    const title = format === 'unknown' ? 'No migration that is known here' : 'Damaged'
    return { tone: 'bad', title, text: `at byte ${at}: expected ${expected}, found ${found}`, at }
  }
  if (format === 'unknown')
    return { tone: 'bad', title: 'No migration that is known here', text: 'nothing was recognised' }
  if (problems.length > 0) {
    return { tone: 'bad', title: 'It contradicts itself', text: problems[0] as string }
  }
  if (ending === undefined)
    return { tone: 'bad', title: 'Without an end', text: 'what is there was read, but it stops' }
  return format === 'stream'
    ? { tone: 'good', title: 'Verified', text: 'every checksum, total and number in it is right' }
    : { tone: 'good', title: 'Read to its end', text: 'all of it is accounted for; files of QEMU have no checksums' }
}
