// The guest of the tests with QEMU: its boot sector, made of guest.S, and what it says about itself in its memory.
import { readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { digest, folder, run, testbed } from '../cache.mjs'

const source = join(testbed, 'vmm/guest.S')

/** How large the guest's memory is, in MiB, and where in it devices write to: `first` and `between`, `size` bytes each. */
export const memory = 32
export const buffers = { first: 0x20_0000, size: 0x4_0000, between: 0x10_0000 }

/** Where memory above 4 GiB begins, of which the guest that can do with it has as much as below. */
export const high = 2 ** 32

/** What the guest knows, and where: `.set known` in guest.S. */
export const known = { at: 0x600, length: 12 }

const kinds = ['the doorbell made no DMA', 'a register was lost', 'the device’s memory was lost']

/** The firmware reads disks by cylinders, and one that has not a whole cylinder not at all. */
const diskSize = 0x10_0000

/**
 * What a guest can do besides: `interrupts`, its devices interrupt it; `high`, they write to memory above 4 GiB.
 *
 * @typedef {'interrupts' | 'high'} Ability
 */

/**
 * A disk that begins with the boot sector, as a file. It is assembled where binutils are, which every C compiler comes with.
 *
 * @param {Ability} [ability]
 */
export const bootDisk = (ability) => {
  const defined = ability === undefined ? [] : ['--defsym', `${ability.toUpperCase()}=1`]
  const made = folder(`guest-${digest(readFileSync(source), `${diskSize}`, ...defined)}`, (half) => {
    const [object, disk] = [join(half, 'guest.o'), join(half, 'disk')]
    run('as', ['--32', ...defined, '-o', object, source])
    run('ld', ['-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', disk, object])
    const { size } = statSync(disk)
    if (size !== 512) throw new Error(`the boot sector has ${size} bytes instead of 512`)
    truncateSync(disk, diskSize)
  })
  return join(made, 'disk')
}

/** What the guest knows: its round, how often it was interrupted, and the words at `known`. */
export const readKnown = ({ rounds, interrupts }, [devices, errors, kindsSeen]) => ({
  devices,
  rounds,
  interrupts,
  errors,
  kinds: kinds.filter((_, bit) => kindsSeen & (1 << bit)),
})
