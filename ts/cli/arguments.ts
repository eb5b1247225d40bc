import { usage } from '../errors.ts'
import { type Command, type CommandName, commands, type Option } from './options.ts'

/** What stood on the command line. */
export interface Arguments {
  readonly command: Command
  readonly operands: readonly string[]
  /** The text of an option, `''` for a switch or a value that was left out; a line each where it may be repeated. */
  readonly values: ReadonlyMap<string, string>
}

/** How many letters have to change to make one word of another: Levenshtein's distance. */
const distance = (one: string, other: string) => {
  let row = Array.from({ length: other.length + 1 }, (_, place) => place)
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= other.length; j += 1) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + same))
    }
    row = next
  }
  return row[other.length] as number
}

const meant = (word: string, all: readonly string[]) => {
  const [best] = [...all].sort((a, b) => distance(word, a) - distance(word, b))
  return best !== undefined && distance(word, best) <= 3 ? best : undefined
}

const find = (command: Command, name: string): Option => {
  const option = command.options.find((one) => one.name === name)
  if (option) return option
  const near = meant(
    name,
    command.options.map((one) => one.name),
  )
  throw usage(
    `${command.name} has no option --${name}${near ? `; did you mean --${near}?` : `: see ${command.name} --help`}`,
  )
}

/**
 * Reads a command line: `NAME OPERAND... --option VALUE --option=VALUE --switch -- OPERAND...`.
 *
 * @throws VfioError `ERR_VFIO_USAGE`
 */
export const parseArguments = (argv: readonly string[]): Arguments => {
  const [name, ...rest] = argv
  const names = Object.keys(commands).join(', ')
  if (name === undefined) throw usage(`a command is missing: one of ${names}; see --help`)
  if (!Object.hasOwn(commands, name)) {
    const near = meant(name, Object.keys(commands))
    throw usage(`there is no command '${name}'${near ? `; did you mean ${near}?` : `: there are ${names}; see --help`}`)
  }
  const command = commands[name as CommandName]
  const operands: string[] = []
  const values = new Map<string, string>()
  for (let at = 0; at < rest.length; at += 1) {
    const word = rest[at] as string
    if (word === '--') {
      operands.push(...rest.slice(at + 1))
      break
    }
    if (word === '-h') values.set('help', '')
    else if (!word.startsWith('--')) {
      if (/^-./.test(word)) throw usage(`there are no short options: ${word}; see ${name} --help`)
      operands.push(word)
    } else {
      const [, key, given] = /^--([^=]*)(?:=(.*))?$/s.exec(word) as unknown as [string, string, string | undefined]
      const option = find(command, key)
      if (values.has(key) && !option.repeated) throw usage(`--${key} stands there twice`)
      let value = given
      if (option.value === undefined) {
        if (given !== undefined) throw usage(`--${key} takes no value`)
      } else if (given === undefined && !option.value.startsWith('[')) {
        at += 1
        value = rest[at]
        if (value === undefined || (value.startsWith('--') && value !== '--'))
          throw usage(`--${key} needs a value: --${key} ${option.value}`)
      }
      if (value !== undefined && option.choices && !option.choices.includes(value)) {
        throw usage(`--${key} ${value}: choose ${option.choices.join(' or ')}`)
      }
      const before = values.get(key)
      values.set(key, before === undefined ? (value ?? '') : `${before}\n${value ?? ''}`)
    }
  }
  return { command, operands, values }
}
