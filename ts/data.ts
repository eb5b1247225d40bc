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

/** @internal The data of a device that is being saved, from pre-copy to the end of stop-copy. */
export class SavingData {
  readonly stream: ReadableStream<Uint8Array>
  #controller: ReadableByteStreamController | undefined
  #over = false

  constructor(device: BindingDevice) {
    this.stream = new ReadableStream({
      type: 'bytes',
      autoAllocateChunkSize: READ,
      start: (controller) => {
        this.#controller = controller
      },
      pull: (controller) => this.#pull(device, controller),
      cancel: () => {
        this.#over = true
      },
    })
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
