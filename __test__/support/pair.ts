import type { ExecutionContext } from 'ava'
import { GuestMemory, openModel } from 'vfio-migration/model'

/** A software device with its world, closed after the test. */
export const model = async (t: ExecutionContext, settings = 'size=1MiB', id = 'gpu0') => {
  const memory = new GuestMemory({ length: 1n << 20n })
  const opened = await openModel(`model:${settings}`, { id, memory })
  t.teardown(() => opened.device.close())
  return { ...opened, memory }
}

/** A source and a destination alike. */
export const pair = async (t: ExecutionContext, settings = 'size=4MiB,pre-copy,p2p,dirty-tracking') => ({
  source: await model(t, settings),
  destination: await model(t, settings),
})
