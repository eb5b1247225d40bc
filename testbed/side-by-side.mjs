// Runs jobs side by side: one machine of the test bed keeps about one processor busy.
import { availableParallelism, totalmem } from 'node:os'

/** Memory that a machine may take, its emulator included, in bytes. */
const room = 2 ** 31

/** How many machines run at once, unless told otherwise. */
export const atOnce = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / room)))

/**
 * Runs lines of jobs, at most `most` jobs at once. The jobs of a line go one after another, and long lines begin first, so
 * that none is left alone at the end. A job that throws ends all: what runs is waited for, nothing else is begun.
 *
 * @param {(() => Promise<void>)[][]} lines
 * @param {number} most
 */
export const sideBySide = async (lines, most) => {
  const waiting = lines.toSorted((one, other) => other.length - one.length)
  let broken = false
  const work = async () => {
    for (let line = waiting.shift(); line !== undefined && !broken; line = waiting.shift()) {
      for (const job of line) {
        if (broken) return
        try {
          await job()
        } catch (error) {
          broken = true
          throw error
        }
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: most }, work))
  const thrown = ended.find(({ status }) => status === 'rejected')
  if (thrown) throw thrown.reason
}
