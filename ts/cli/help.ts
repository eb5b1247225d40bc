import { type Command, commands, type Option } from './options.ts'

const line = (option: Option, width: number) => {
  const name = `--${option.name}${option.value === undefined ? '' : option.value.startsWith('[') ? `[=${option.value.slice(1, -1)}]` : ` ${option.value}`}`
  return `  ${name.padEnd(width)}  ${option.help}`
}

const widthOf = (options: readonly Option[]) =>
  Math.max(...options.map((option) => option.name.length + 3 + (option.value ?? '').length))

const named =
  'DEVICE is [NAME=]ADDRESS, such as model:size=256MiB,pre-copy,p2p,seed=7; both ends match devices by name.'

/** What stands for a device, where a command takes any. */
const operands = {
  save: named,
  restore: named,
  probe: 'DEVICE is an address, such as vfio:0000:65:00.1; a PCI function is reset by this, which is said beforehand.',
  doctor:
    'DEVICE is vfio:0000:65:00.1, mdev:UUID or cdev:/dev/vfio/devices/vfio0; without one: the host and all devices.',
  trace:
    'Two traces are compared without how often something came in a row and how many bytes there were; status 1 if they differ.',
  run: [
    'DEVICE is model:SETTINGS. In an ARGUMENT, {device0} is the first device as QEMU takes it (sysfsdev=), {group0} its group,',
    "{cdev0} its character device, {device1} the second device, and so on. The status is the program's.",
  ].join('\n'),
  simulate: [
    "WORD=VALUE says what differs from the usual: 'seed=7 devices=stop-copy+p2p,stop-copy+p2p+pre-copy fault=save:12:fails(5)'.",
    'docs/simulation.md lists all words; times are in microseconds of the virtual clock.',
  ].join('\n'),
  inspect:
    "FILE is a stream of save, a file of QEMU's migrate or savevm, or one that libvirt saved; the file is only read.",
  view: 'FILE is what inspect takes, or a report of --report. The address has a token in it: whoever has it can read these files.',
} as const

/** The help of one command: a line an option. */
export const helpOf = (command: Command): string => {
  const width = widthOf(command.options)
  return [
    `vfio-migration ${command.name} ${command.operands}`.trimEnd(),
    `  ${command.help}`,
    '',
    'Options:',
    ...command.options.map((option) => line(option, width)),
    ...(command.name in operands ? ['', operands[command.name as keyof typeof operands]] : []),
  ].join('\n')
}

/** The help of the program. */
export const help = (): string =>
  [
    'vfio-migration moves the state of VFIO devices from one host to another.',
    '',
    'Commands:',
    ...Object.values(commands).map(
      (command) => `  ${`${command.name} ${command.operands}`.padEnd(32)}  ${command.help}`,
    ),
    '',
    'Options:',
    '  --help                            print this and end; after a command: its options',
    '  --version                         print the version and end',
    '',
    'Exit status: 0 done, 1 failed, 2 wrong usage, 3 not supported by this host or device, 4 ended while in doubt,',
    '5 a device lost, 130 cancelled.',
  ].join('\n')
