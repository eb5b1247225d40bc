// What must compile and what must not: compiled, never run. A directive without an error below it is an error itself.
import { type AnyDevice, type Device, isVfioError, type Next, openDevice, type State } from 'vfio-migration'

export const walks = async () => {
  const device = await openDevice('model:size=1MiB,pre-copy,p2p')
  if (device.supports('pre-copy', 'p2p')) {
    const pre = await device.to('pre-copy')
    const quiet = await pre.to('pre-copy-p2p')
    const info = await quiet.estimate()
    info.initialBytes satisfies bigint | undefined
    const copy = await quiet.to('stop-copy')
    copy.data satisfies ReadableStream<Uint8Array>
    // @ts-expect-error stop-copy never returns to pre-copy
    await copy.to('pre-copy')
    // @ts-expect-error there is no estimate outside pre-copy
    await copy.estimate()
    const stop = await copy.to('stop')
    stop.state satisfies 'stop'
    // @ts-expect-error a stopped device has no data
    stop.data
  }
  const copy = await device.to('stop-copy')
  copy.state satisfies 'stop-copy'
}

export const optional = async (device: Device) => {
  // @ts-expect-error an optional state needs supports() first
  await device.to('pre-copy')
  if (device.supports('p2p')) {
    await device.to('running-p2p')
    // @ts-expect-error one of two capabilities is not enough
    await device.to('pre-copy-p2p')
  }
  // @ts-expect-error error is no target
  await device.to('error')
  // @ts-expect-error no such state
  await device.to('flying')
  // @ts-expect-error a device is not asked for the state it is in
  await device.to('running')
  // @ts-expect-error no such capability
  device.supports('teleport')
}

export const loading = async (device: Device) => {
  const resuming = await device.to('resuming')
  resuming.data.getWriter()
  // @ts-expect-error resuming is written, not read
  resuming.data.getReader()
}

export const widened = async (device: Device<'stop-copy' | 'running', 'pre-copy'>) => {
  await device.to('stop')
  // @ts-expect-error not from stop-copy, so not from either
  await device.to('pre-copy')
  // @ts-expect-error running has no data, so neither has what may be running
  device.data
}

export const any = async (device: AnyDevice) => {
  await device.reset()
  // @ts-expect-error nothing can be asked for in every state
  await device.to('stop')
  if (device.state === 'stop-copy') device.data satisfies ReadableStream<Uint8Array>
  if (device.state === 'error') {
    // @ts-expect-error only reset() leaves error
    await device.to('running')
  }
}

export const failed = async (device: Device) => {
  try {
    await device.to('stop-copy')
  } catch (error) {
    if (!isVfioError(error)) throw error
    // @ts-expect-error only some codes carry a device
    error.details.device
    if (isVfioError(error, 'ERR_VFIO_DEVICE_FAILED') && error.details.device?.state === 'stop') {
      await error.details.device.to('running')
    }
    // @ts-expect-error no such code
    isVfioError(error, 'ERR_VFIO_FLOPPY')
  }
}

'stop' satisfies Next<'running' | 'stop-copy'>
// @ts-expect-error a wide handle allows less
'pre-copy' satisfies Next<State>
