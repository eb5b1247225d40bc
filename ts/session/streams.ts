import type { BindingPipe } from '../binding.ts'
import { usage } from '../errors.ts'
import { settle } from '../native.ts'

/** A frame of the default chunk and its header fit, so that one read takes a frame. */
const READ = (1 << 20) + 4096

/** @internal The session's bytes, as a stream to read: a buffer is asked for only when the reader wants one. */
export const readableOf = (pipe: BindingPipe): ReadableStream<Uint8Array> =>
  new ReadableStream({
    type: 'bytes',
    autoAllocateChunkSize: READ,
    async pull(controller) {
      const request = controller.byobRequest
      // The view's buffer was transferred to the stream: nobody else reaches it while the session fills it.
      const view = request?.view as Uint8Array | null | undefined
      if (!request || !view) throw usage('a byte stream asks with a buffer')
      const count = settle(await pipe.pull(view))
      if (count === 0) controller.close()
      request.respond(count)
    },
    cancel(reason) {
      pipe.breakOff(`the reader has gone: ${reason}`)
    },
  })

/** @internal Bytes for the session, as a stream to write: a write resolves once the session has read them. */
export const writableOf = (pipe: BindingPipe): WritableStream<Uint8Array> =>
  new WritableStream({
    async write(chunk) {
      if (!(chunk instanceof Uint8Array)) throw usage('a stream of a session is written as Uint8Array')
      settle(await pipe.push(chunk))
    },
    close() {
      pipe.endInput()
    },
    abort(reason) {
      pipe.breakOff(`the writer has given up: ${reason}`)
    },
  })
