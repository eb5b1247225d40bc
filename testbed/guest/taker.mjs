// Takes a device that is offered at a unix socket, says in a file in which state it found it, and keeps it until it is
// killed: `node taker.mjs SOCKET DEVICE FILE`.
import { renameSync, writeFileSync } from 'node:fs'
import { openDevice } from '../../ts/dist/index.js'

const [socket, device, file] = process.argv.slice(2)
const taken = await openDevice(`fd:unix:${socket}?device=${device}`)
// Whoever sees the file sees all of it.
writeFileSync(`${file}.half`, taken.state)
renameSync(`${file}.half`, file)
setInterval(() => {}, 1 << 30)
