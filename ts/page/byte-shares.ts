import type { Outline } from '../inspection.ts'
import { bytes } from '../quantity.ts'
import { el } from './dom.ts'

/** Bytes of a file that belong together. */
export interface Share {
  readonly name: string
  readonly bytes: bigint
}

/** Shares that are drawn; the smallest ones beyond that are one. */
const most = 7

/** Where the bytes of a file are, the largest share first. Together they are the file. */
export const sharesOf = ({ size, objects, qemu }: Outline): Share[] => {
  const sections = qemu?.sections ?? []
  const named: Share[] =
    sections.length > 0
      ? sections.map(({ name, bytes: length }) => ({ name, bytes: length }))
      : objects.map(({ id, bytes: length }) => ({ name: id, bytes: length }))
  const sum = (shares: readonly Share[]) => shares.reduce((total, share) => total + share.bytes, 0n)
  const sorted = named.filter((share) => share.bytes > 0n).sort((a, b) => (a.bytes < b.bytes ? 1 : -1))
  const shown = sorted.length > most ? sorted.slice(0, most - 1) : sorted
  const rest = sum(sorted.slice(shown.length))
  if (rest > 0n) shown.push({ name: `${sorted.length - shown.length} more`, bytes: rest })
  const around = size - sum(named)
  return around > 0n ? [...shown, { name: 'framing', bytes: around }] : shown
}

const percent = (part: bigint, whole: bigint) => {
  const share = (Number(part) / Number(whole)) * 100
  return share > 0 && share < 0.1 ? '< 0.1%' : `${share.toFixed(1)}%`
}

/** A bar of the file's bytes, and the same in words. */
export const drawShares = (outline: Outline): HTMLElement => {
  const { size } = outline
  const shares = sharesOf(outline)
  const bar = el('div', { class: 'shares', 'aria-hidden': 'true' })
  const legend = el('ul', { class: 'legend', 'aria-label': 'Where the bytes are' })
  for (const [place, { name, bytes: length }] of shares.entries()) {
    const part = el('div', { class: `share share-${place}`, title: name, 'data-bytes': `${length}` })
    part.style.flexGrow = `${Number(length) / Number(size)}`
    bar.append(part)
    const key = el('span', { class: `key share-${place}` })
    legend.append(el('li', {}, key, name, el('span', { class: 'soft' }, ` ${bytes(length)}, ${percent(length, size)}`)))
  }
  return el('div', { class: 'shares-of-file' }, bar, legend)
}
