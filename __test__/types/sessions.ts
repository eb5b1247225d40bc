// What must compile and what must not: compiled, never run.
import { type Device, restore, type SessionEvent, save } from 'vfio-migration'
import { GuestMemory } from 'vfio-migration/model'

export const saves = async (running: Device, stopped: Device<'stop'>, resuming: Device<'resuming'>) => {
  const session = await save([running, stopped], { memory: new GuestMemory({ length: 4096n }), pause: async () => {} })
  await session.sendTo({ host: 'localhost', port: 4444 })
  await session.sendTo('unix:/run/migration.sock')
  await save(running)
  // @ts-expect-error a device that is resuming cannot be saved
  await save(resuming)
  // @ts-expect-error a restore only starts from running devices
  await restore(stopped)
  // @ts-expect-error a listening port is for a restore
  await session.sendTo({ listen: 4444 })
  // @ts-expect-error a save takes nothing over
  await session.claim()
  // @ts-expect-error times are numbers of milliseconds
  await save(running, { deadlineMs: '3s' })
  // @ts-expect-error a hook of the other end
  await save(running, { takeOver: () => {} })
}

export const restores = async (device: Device) => {
  const session = await restore(device, { configure: () => {}, takeOver: async () => {} })
  await session.receiveFrom({ listen: 0 })
  // @ts-expect-error a restore takes nothing back
  await session.takeBack()
  // @ts-expect-error a restore has nothing to read
  session.readable
}

export const told = (event: SessionEvent): string => {
  switch (event.type) {
    case 'phase':
      return event.phase
    case 'state':
      return `${event.from ?? 'nowhere'} ${event.to}`
    case 'progress':
      event.bytes satisfies bigint
      // @ts-expect-error an estimate may be unknown
      event.left satisfies bigint
      return event.object
    case 'reset':
    case 'reinit':
    case 'ended':
      return event.device
    case 'switchover':
      return event.reason
    case 'overdue':
      return event.call
    case 'failed':
      return event.what
    case 'tracker-lost':
    case 'in-doubt':
    case 'too-late':
      return event.why
    case 'listening':
      return event.address
    case 'given-up':
      return event.type
    default:
      return event satisfies never
  }
}
