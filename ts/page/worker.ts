// Looks into files, away from the thread that draws.
import type { Task, Told, Work } from './work.ts'

// The WASM is loaded before this is there, and messages that come meanwhile must find somebody.
const loaded = import('./tasks.ts')

/** Tasks that are under way or wait, and were not told to stop. */
const wanted = new Set<number>()

const run = async (work: Work) => {
  const { task } = work
  const tell = (told: Told) => postMessage(told)
  try {
    const { carryOut } = await loaded
    if (wanted.has(task)) await carryOut(work, { wanted: () => wanted.has(task), tell })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    tell({ task, kind: 'failed', failure: { message: `the page is not whole: ${why}`, remedy: 'reload it' } })
  } finally {
    wanted.delete(task)
  }
}

/** One after another: they would only take the processor from each other. */
let before: Promise<void> = Promise.resolve()

addEventListener('message', ({ data }: MessageEvent<Task>) => {
  if (data.kind === 'stop') {
    wanted.delete(data.task)
    return
  }
  wanted.add(data.task)
  before = before.then(() => run(data))
})
