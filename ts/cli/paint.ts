/** Colours of a terminal, or none. */
export interface Paint {
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly blue: (text: string) => string
  readonly magenta: (text: string) => string
  readonly cyan: (text: string) => string
}

const codes = { dim: 2, bold: 1, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const

/** Colours for what is written to this stream: none if it is no terminal, or somebody does not want any (NO_COLOR). */
export const paintFor = (stream: { readonly isTTY?: boolean }): Paint => {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  const wanted = FORCE_COLOR ? FORCE_COLOR !== '0' : stream.isTTY === true && !NO_COLOR && TERM !== 'dumb'
  return Object.fromEntries(
    Object.entries(codes).map(([name, code]) => [
      name,
      wanted ? (text: string) => `\x1b[${code}m${text}\x1b[0m` : (text: string) => text,
    ]),
  ) as unknown as Paint
}

/** How many columns a text takes, without the codes of its colours. All that is drawn here is one column wide. */
export const columns = (text: string): number => text.replace(/\x1b\[[0-9;]*m/g, '').length

/** Cuts a text that may have colours to so many columns. */
export const cut = (text: string, most: number): string => {
  let room = most
  let kept = ''
  for (const part of text.split(/(\x1b\[[0-9;]*m)/)) {
    if (part.startsWith('\x1b[')) kept += part
    else {
      kept += part.slice(0, room)
      room -= Math.min(room, part.length)
    }
  }
  return kept
}

/** A bar of so many columns, of which a share is done; unknown is drawn as such. */
export const bar = (share: number | undefined, width: number, paint: Paint): string => {
  if (share === undefined) return paint.dim('╌'.repeat(width))
  const halves = Math.round(Math.min(1, Math.max(0, share)) * width * 2)
  const whole = Math.floor(halves / 2)
  const half = halves % 2 === 1 ? '╸' : ''
  return `${paint.cyan('━'.repeat(whole) + half)}${paint.dim('─'.repeat(width - whole - half.length))}`
}
