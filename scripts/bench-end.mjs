// One end of one run of the benchmark, in a process of its own: source or destination, native or through JavaScript; or who
// looks into the file that a run wrote.
import { connect, createServer } from 'node:net'
import { OpenDevice } from '../ts/dist/handle.js'
import { inspect, restore, save } from '../ts/dist/index.js'
import { native } from '../ts/dist/native.js'

const [end, path, place, bytes] = process.argv.slice(2)
if (end === 'inspect') {
  const started = process.hrtime.bigint()
  const { damage } = await inspect(place).outline()
  if (damage) throw new Error('the file is damaged')
  console.log(Number(process.hrtime.bigint() - started) / 1e9)
  process.exit()
}
const size = Number(bytes)
const opened = new OpenDevice(native().openBenchmarkDevice(end === 'source' ? size : 0), 'benchmark', 'bench')
const device = opened.handle('running')

/** Room for a frame of the default chunk. */
const BUFFER = 1 << 20
/** How many buffers go round: no more than these wait between a socket and the session. */
const BUFFERS = 8

/** A socket that connects, as a pair of web streams: it reads into buffers that go round. */
const connected = (path) =>
  new Promise((resolve) => {
    const buffers = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(BUFFER))
    let [turn, paused] = [0, false]
    let out
    const readable = new ReadableStream(
      {
        start: (controller) => {
          out = controller
        },
        pull() {
          if (paused) socket.resume()
          paused = false
        },
      },
      { highWaterMark: BUFFERS - 2 },
    )
    const socket = connect({
      path,
      onread: {
        buffer: () => buffers[turn++ % BUFFERS],
        callback(count, buffer) {
          out.enqueue(new Uint8Array(buffer.buffer, 0, count))
          paused = out.desiredSize <= 0
          return !paused
        },
      },
    })
    socket.on('end', () => out.close())
    socket.on('error', (error) => out.error(error))
    socket.on('connect', () => resolve({ readable, writable: writing(socket) }))
  })

/** A socket that was accepted, as a pair of web streams. */
const accepted = (path) =>
  new Promise((resolve) => {
    const server = createServer((socket) => {
      server.close()
      resolve({ readable: reading(socket), writable: writing(socket) })
    })
    server.listen(path, () => console.log(place))
  })

const reading = (socket) =>
  new ReadableStream({
    start(controller) {
      socket.on('data', (chunk) => controller.enqueue(chunk))
      socket.on('end', () => controller.close())
      socket.on('error', (error) => controller.error(error))
    },
  })

const writing = (socket) =>
  new WritableStream({
    write: (chunk) => new Promise((done, failed) => socket.write(chunk, (error) => (error ? failed(error) : done()))),
    close: () => void socket.end(),
    abort: () => void socket.destroy(),
  })

if (end === 'source') {
  const session = await save(device)
  const sink = path === 'js' ? await accepted(place.slice('unix:'.length)) : place
  const started = process.hrtime.bigint()
  await session.sendTo(sink, { overwrite: true, reuseBuffers: true })
  console.log(Number(process.hrtime.bigint() - started) / 1e9)
} else {
  const session = await restore(device)
  // On the JavaScript path the source listens: only a socket that connects can be given buffers to read into.
  const source = path === 'js' ? await connected(place.slice('unix:'.length)) : place
  const done = session.receiveFrom(source, { reuseBuffers: true })
  if (path !== 'js') {
    for await (const event of session.events()) {
      if (event.type !== 'listening') continue
      console.log(event.address)
      break
    }
  }
  await done
}
process.exit()
