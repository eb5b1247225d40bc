// One end of a demo in a process of its own: it is told what to do by the process that started it, and reports back.
import type { Side } from '../../session/report.ts'
import { ends, type Setting, type Word } from './ends.ts'

process.once('message', async ({ side, setting }: { readonly side: Side; readonly setting: Setting }) => {
  try {
    await ends[side](setting, (word: Word) => process.send?.(word))
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  } finally {
    process.disconnect()
  }
})
// Signals of the terminal reach the whole group; the parent decides what becomes of its children.
process.on('SIGINT', () => {})
process.once('disconnect', () => process.exit())
