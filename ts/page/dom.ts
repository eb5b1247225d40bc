type Child = Node | string | undefined | false

/** An element with attributes and children; texts are texts, never markup. `undefined` and `false` are left out. */
export const el = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : `${value}`)
  }
  element.append(...children.filter((child) => child !== undefined && child !== false))
  return element
}

/** A list of names and what they stand for. */
export const facts = (entries: readonly (readonly [name: string, value: Child])[]): HTMLDListElement =>
  el(
    'dl',
    { class: 'facts' },
    ...entries
      .filter(([, value]) => value !== undefined && value !== false && value !== '')
      .map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
  )

/** A button that does something. */
export const button = (label: string, attributes: Readonly<Record<string, string>>, does: () => void) => {
  const made = el('button', { type: 'button', ...attributes }, label)
  made.addEventListener('click', does)
  return made
}
