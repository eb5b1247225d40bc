import { freshBuffer } from '#platform'
import type { BindingPipe } from '../binding.ts'
import { usage } from '../errors.ts'
import { settle } from '../native.ts'

/** @internal A frame of the default chunk and its header fit, so that one read takes a frame. */
export const FRAME = (1 << 20) + 4096

/** @internal Messages back are small, and many: large buffers would be collected more often than the messages come. */
export const MESSAGES = 16 << 10

/** @internal The session's bytes, as a stream to read: one chunk is fetched ahead, so that reader and session overlap. */
export const readableOf = (pipe: BindingPipe): ReadableStream<Uint8Array> =>
  new ReadableStream(
    {
      type: 'bytes',
      async pull(controller) {
        // The reader's own buffer, which was transferred to the stream, or a fresh one: nobody else reaches it while the
        // session fills it.
        const request = controller.byobRequest
        const view = (request?.view as Uint8Array | null | undefined) ?? freshBuffer(FRAME)
        const count = settle(await pipe.pull(view))
        if (count === 0) {
          controller.close()
          // Also for a reader that has brought a buffer only since then.
          controller.byobRequest?.respond(0)
        } else if (request) request.respond(count)
        else controller.enqueue(view.subarray(0, count))
      },
      cancel(reason) {
        pipe.breakOff(`the reader has gone: ${reason}`)
      },
    },
    { highWaterMark: FRAME },
  )

const push = (pipe: BindingPipe, chunk: unknown) => {
  if (!(chunk instanceof Uint8Array)) throw usage('a stream of a session is written as Uint8Array')
  return pipe.push(chunk)
}

/** @internal Bytes for the session, as a stream to write: a write resolves once there is room for more. */
export const writableOf = (pipe: BindingPipe): WritableStream<Uint8Array> =>
  new WritableStream({
    async write(chunk) {
      const full = push(pipe, chunk)
      if (full) settle(await full)
    },
    close() {
      pipe.endInput()
    },
    abort(reason) {
      pipe.breakOff(`the writer has given up: ${reason}`)
    },
  })

/**
 * @internal Carries the session's bytes to a stream of the caller, at its speed: the next chunk is fetched while one is
 * written. A stream between the two would cost as much again.
 *
 * @param size Bytes of a buffer.
 * @param reuse Whether a buffer whose write has settled may be filled again.
 */
export const drain = async (
  pipe: BindingPipe,
  out: WritableStream<Uint8Array>,
  size: number,
  reuse: boolean,
): Promise<void> => {
  const writer = out.getWriter()
  let written = Promise.resolve()
  let [now, next] = [freshBuffer(size), freshBuffer(size)]
  try {
    for (;;) {
      // A buffer that the sink has transferred elsewhere is not ours any more.
      const view = now.byteLength === size ? now : freshBuffer(size)
      ;[now, next] = [next, reuse ? view : freshBuffer(size)]
      const count = settle(await pipe.pull(view))
      await written
      if (count === 0) break
      written = writer.write(view.subarray(0, count))
      // It is looked at after the next chunk was fetched.
      written.catch(() => {})
    }
    await writer.close()
  } catch (error) {
    await writer.abort(error).catch(() => {})
    throw error
  }
}

/** @internal Carries bytes of a stream of the caller to the session, at its speed. */
export const feed = async (pipe: BindingPipe, back: ReadableStream<Uint8Array>): Promise<void> => {
  const reader = back.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const full = push(pipe, next.value)
      if (full) settle(await full)
    }
    pipe.endInput()
  } catch (error) {
    await reader.cancel(error).catch(() => {})
    throw error
  }
}
