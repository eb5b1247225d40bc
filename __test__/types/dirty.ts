// What must compile and what must not, of logs of dirty pages.
import { type AnyDevice, type Device, type DirtyLog, type DirtyRange, trackDirty } from 'vfio-migration'

const ranges: DirtyRange[] = [{ iova: 0n, length: 4096n }]

export const tracks = async (device: Device, any: AnyDevice) => {
  // @ts-expect-error a capability that is optional needs supports() first
  await trackDirty(device, { ranges })
  // @ts-expect-error so it does in whatever state
  await trackDirty(any, { ranges })
  if (device.supports('p2p')) {
    // @ts-expect-error another capability is not this one
    await trackDirty(device, { ranges })
  }
  if (device.supports('dirty-tracking')) {
    const log: DirtyLog = await trackDirty(device, { ranges, pageSize: 4096 })
    // @ts-expect-error addresses are bigints
    log.drain({ iova: 0, length: 4096 })
    for await (const { iova, length } of log.drain()) (iova + length) satisfies bigint
    const snapshot = await log.snapshot({ iova: 0n, length: 4096n })
    snapshot.words satisfies BigUint64Array
    for (const { iova } of snapshot) iova satisfies bigint
    const stopped = await device.to('stop')
    await trackDirty(stopped, { ranges })
    // @ts-expect-error what is watched must be said
    await trackDirty(stopped, {})
  }
}
