import type { ObjectOutline, Outline } from '../inspection.ts'
import { configWords, formats } from '../outline-words.ts'
import { counted } from '../picture/words.ts'
import { bytes } from '../quantity.ts'
import { drawShares } from './byte-shares.ts'
import { button, el, facts } from './dom.ts'
import type { OpenedFile } from './files.ts'
import { hexadecimal } from './part-text.ts'
import { reportFacts } from './report-facts.ts'
import type { Page, Tab } from './tabs.ts'
import { judge } from './verdict.ts'

const objectCard = (object: ObjectOutline): HTMLElement => {
  const { id, kind, protocol, capabilities, passport = [], config, recognised, size, iova } = object
  const unit = object.zeroPages === undefined ? 'frame' : 'page'
  return el(
    'article',
    { class: 'card object' },
    el('h3', {}, id, el('span', { class: 'tag' }, [kind, protocol].filter(Boolean).join(', '))),
    el(
      'p',
      { class: object.complete ? 'good' : 'bad' },
      object.complete ? 'complete' : 'not complete: the file does not say that all of it is there',
    ),
    facts([
      ['bytes', `${bytes(object.bytes)} (${object.bytes}) in ${counted(object.frames, unit)}`],
      ['zero pages', object.zeroPages ? `${object.zeroPages}` : undefined],
      ['capabilities', capabilities],
      [kind === 'memory' ? 'size' : 'estimate', size === undefined ? undefined : `${bytes(size)} (${size})`],
      ['first address', iova === undefined ? undefined : `0x${iova.toString(16)}`],
      ['segments', object.segments ? `${object.segments}` : undefined],
      ['initial data', object.initialEnds ? counted(object.initialEnds, 'time') : undefined],
      ['CRC32C', object.checksum === undefined ? undefined : hexadecimal(object.checksum)],
      ['PCI', config && configWords(config)],
      [
        'its data',
        kind !== 'device' || object.bytes === 0n ? undefined : recognised ? `of ${recognised.family}` : 'opaque',
      ],
      ...(recognised?.facts ?? []).map(([name, value]) => [name, value] as const),
      ['problem', recognised?.problem],
      ...passport.map(({ key, value, needed }) => [`passport: ${key}`, needed ? `${value} (needed)` : value] as const),
    ]),
  )
}

const sectionTable = ({ sections, described }: NonNullable<Outline['qemu']>): HTMLElement =>
  el(
    'div',
    { class: 'card' },
    el(
      'h3',
      {},
      'Sections',
      described === undefined ? undefined : el('span', { class: 'tag' }, `${described} described`),
    ),
    el(
      'div',
      { class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'Sections' },
      el(
        'table',
        {},
        el(
          'thead',
          {},
          el('tr', {}, ...['name', 'instance', 'version', 'pieces', 'bytes'].map((name) => el('th', {}, name))),
        ),
        el(
          'tbody',
          {},
          ...sections.map(({ name, instance, version, sections: pieces, bytes: length }) =>
            el('tr', {}, ...[name, instance, version, pieces, length].map((value) => el('td', {}, `${value}`))),
          ),
        ),
      ),
    ),
  )

const banner = (file: OpenedFile, page: Page): HTMLElement => {
  const { tone, title, text, at } = judge(file)
  const made = el('div', { class: `banner ${tone}`, role: 'status' }, el('strong', {}, title), el('span', {}, text))
  if (at !== undefined) {
    made.append(button('Show the place', {}, () => page.go('frames', `byte=${at}`)))
  }
  return made
}

const outlineOf = (outline: Outline): HTMLElement[] => {
  const { format, size, parts, session, mode, largestFrame, ending, objects, qemu, notes, problems } = outline
  return [
    el(
      'div',
      { class: 'card' },
      el('h3', {}, 'The file'),
      facts([
        ['what it is', formats[format]],
        ['size', `${bytes(size)} (${size} bytes) in ${counted(parts, 'part')}`],
        ['mode', mode],
        ['session', session],
        ['largest frame', largestFrame === undefined ? undefined : bytes(largestFrame)],
        ['machine', qemu?.machine],
        ['capabilities', qemu?.capabilities.join(', ')],
        ['written by', qemu?.libvirt ? 'libvirt' : undefined],
        ['connection', qemu?.channel === undefined ? undefined : `${qemu.channel}`],
        ['ends', format === 'unknown' ? undefined : (ending ?? 'without an end')],
      ]),
      ...(objects.length > 0 ? [drawShares(outline)] : []),
    ),
    ...objects.map(objectCard),
    ...(qemu && qemu.sections.length > 0 ? [sectionTable(qemu)] : []),
    ...[['Problems', problems, 'bad'] as const, ['Notes', notes, ''] as const]
      .filter(([, lines]) => lines.length > 0)
      .map(([title, lines, tone]) =>
        el(
          'div',
          { class: `card ${tone}` },
          el('h3', {}, title),
          el('ul', {}, ...lines.map((line) => el('li', {}, line))),
        ),
      ),
  ]
}

/** What a file is, whether it is sound, and what is in it. */
export const outlineTab: Tab = {
  id: 'outline',
  label: 'Outline',
  open(panel, page) {
    return {
      update(file) {
        if (file === undefined) panel.replaceChildren()
        else if (file.report !== undefined)
          panel.replaceChildren(
            banner(file, page),
            el(
              'div',
              { class: 'cards' },
              el('div', { class: 'card' }, el('h3', {}, 'The report'), reportFacts(file.report)),
            ),
          )
        else
          panel.replaceChildren(
            banner(file, page),
            el('div', { class: 'cards' }, ...(file.outline ? outlineOf(file.outline) : [])),
          )
      },
    }
  },
}
