// What an outline tells, in words: the command line and the page say the same.
import type { ObjectOutline, Outline } from './inspection.ts'
import { counted } from './picture/words.ts'

/** @internal What a file is. */
export const formats: Readonly<Record<Outline['format'], string>> = {
  unknown: 'no migration that is known here',
  stream: 'a stream of vfio-migration',
  qemu: 'a file of QEMU',
  'qemu-multifd': 'one of several connections of QEMU',
}

const hex = (number: number) => number.toString(16).padStart(4, '0')

/** @internal The PCI config of a device, in one line. */
export const configWords = ({ ids, space, command, msix, display }: NonNullable<ObjectOutline['config']>): string => {
  const [vendor = 0, device = 0] = ids
  const vectors = msix
    ? `, MSI-X ${msix.enabled ? 'on' : 'off'} with ${counted(msix.vectors, 'vector')}, ${msix.masked} masked, ${msix.pending} pending`
    : ''
  return `${hex(vendor)}:${hex(device)}, ${space} bytes, command ${hex(command)}${vectors}${display ? ', a display' : ''}`
}
