import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

/** A folder that is gone after the test. */
export const temporary = async (t: ExecutionContext): Promise<(name: string) => string> => {
  const folder = await mkdtemp(join(tmpdir(), 'vfio-migration-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}
