import type { BindingDevice } from './binding.ts'
import { usage, VfioError } from './errors.ts'
import { settle } from './native.ts'

/** How many bytes one read asks a device for, unless the reader brings a buffer of its own. */
const READ = 1 << 20
/** How long to wait, in milliseconds, before a device that had nothing in pre-copy is asked again. */
const PAUSE = 10

const gone = (now: string) =>
  new VfioError('ERR_VFIO_STALE_HANDLE', `the device's data cannot be moved any more: the device is ${now}`, {
    state: 'stop',
    remedy: 'finish with the data before the device leaves the state',
  })

type Controller = ReadableByteStreamController | ReadableStreamDefaultController<Uint8Array>

/** @internal The data of a device that is being saved, from pre-copy to the end of stop-copy. */
export class SavingData {
  readonly stream: ReadableStream<Uint8Array>
  #controller: Controller | undefined
  #over = false

  constructor(device: BindingDevice) {
    const start = (controller: Controller) => {
      this.#controller = controller
    }
    const cancel = () => {
      this.#over = true
    }
    if (device.protocol === 'region') {
      this.stream = new ReadableStream<Uint8Array>(
        { start, cancel, pull: (controller) => this.#pullSegment(device, controller) },
        // Nothing is read before somebody wants it.
        { highWaterMark: 0 },
      )
    } else {
      this.stream = new ReadableStream({
        type: 'bytes',
        autoAllocateChunkSize: READ,
        start,
        cancel,
        pull: (controller) => this.#pull(device, controller),
      })
    }
  }

  /** A region's data comes in segments, which a destination must get as they were: each is one chunk. */
  async #pullSegment(device: BindingDevice, controller: ReadableStreamDefaultController<Uint8Array>) {
    let segment = new Uint8Array(READ)
    let filled = 0
    while (!this.#over) {
      if (filled === segment.length) {
        const larger = new Uint8Array(2 * filled)
        larger.set(segment)
        segment = larger
      }
      const { len, then } = settle(await device.read(segment.subarray(filled)))
      if (this.#over) return
      filled += len
      if (then === 'segment-end') return controller.enqueue(segment.subarray(0, filled))
      if (then === 'end') {
        this.#over = true
        return controller.close()
      }
      if (then === 'pause') await new Promise((resolve) => setTimeout(resolve, PAUSE))
    }
  }

  async #pull(device: BindingDevice, controller: ReadableByteStreamController) {
    const request = controller.byobRequest
    // The view's buffer was transferred to the stream: nobody else reaches it while the device fills it.
    const view = request?.view as Uint8Array | null | undefined
    if (!request || !view) throw usage('a byte stream asks with a buffer')
    while (!this.#over) {
      const { len, then } = settle(await device.read(view))
      if (this.#over) return
      if (len > 0) return request.respond(len)
      if (then === 'end') {
        this.#over = true
        controller.close()
        return request.respond(0)
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
    }
  }

  /** The device has left the states in which its data can be read. */
  end(now: string) {
    if (this.#over) return
    this.#over = true
    this.#controller?.error(gone(now))
  }
}

/** @internal The way of data into a device that is resuming. */
export class LoadingData {
  readonly stream: WritableStream<Uint8Array>
  #controller: WritableStreamDefaultController | undefined

  constructor(device: BindingDevice) {
    this.stream = new WritableStream({
      start: (controller) => {
        this.#controller = controller
      },
      write: async (chunk) => {
        if (!(chunk instanceof Uint8Array)) throw usage('device data is written as Uint8Array')
        settle(await device.write(chunk))
      },
    })
  }

  /** The device has left resuming. */
  end(now: string) {
    this.#controller?.error(gone(now))
  }
}
