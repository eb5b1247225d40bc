// Golden traces: what the driver of a real kernel said that was done to its device, kept in golden/ one line an event
// (`request STATE`, `arc FROM TO`, `reset`, with the numbers of the kernel's states).
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Compares with the golden trace of this name; writes it down instead where `TESTBED_GOLDEN` names a folder. */
export const assertGolden = (name, log) => {
  const text = `${log.join('\n')}\n`
  if (process.env.TESTBED_GOLDEN) writeFileSync(join(process.env.TESTBED_GOLDEN, `${name}.txt`), text)
  else assert.equal(text, readFileSync(new URL(`golden/${name}.txt`, import.meta.url), 'utf8'))
}
