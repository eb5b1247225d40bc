/** One option: what it is called, what it takes, and its one line of help. */
export interface Option {
  readonly name: string
  /** What the option takes; a word in brackets may be left out. Absent for a switch. */
  readonly value?: string
  readonly help: string
  /** The values that it takes, where they can be listed. */
  readonly choices?: readonly string[]
  /** Whether it may stand there several times. */
  readonly repeated?: true
}

/** One command. From these the parser, the help and the documentation follow. */
export interface Command {
  readonly name: string
  /** What stands after the name. */
  readonly operands: string
  readonly help: string
  readonly options: readonly Option[]
}

const output: readonly Option[] = [
  {
    name: 'json',
    value: '[events]',
    choices: ['events'],
    help: 'print one object at the end; =events: one line an event before it',
  },
  { name: 'quiet', help: 'print nothing but errors' },
  { name: 'help', help: 'print this and end' },
]

const report: readonly Option[] = [
  { name: 'json', help: 'print one object' },
  { name: 'help', help: 'print this and end' },
]

const host: Option = {
  name: 'root',
  value: 'PATH',
  help: "where the host's sys, dev and proc are (/), for a container that sees them elsewhere",
}

const region: readonly Option[] = [
  { name: 'experimental-region', help: 'take devices with a migration region (protocol v1) too' },
  {
    name: 'dialect',
    value: 'NAME',
    choices: ['thread', 'qemu', 'libvfio-user'],
    help: 'what migration regions speak: thread (default), qemu or libvfio-user',
  },
]

const html: Option = { name: 'html', value: 'FILE', help: 'draw the run into a file, as HTML without a script' }
const force: Option = { name: 'force', help: 'replace a file that exists' }

const both: readonly Option[] = [
  ...region,
  { name: 'report', value: 'FILE', help: 'write the report of the run to a file, as JSON' },
  html,
  { name: 'timeout', value: 'TIME', help: 'deadline of every wait (30s)' },
  { name: 'insecure', help: 'allow tcp: beyond this machine, unencrypted as it is' },
  { name: 'no-p2p-traffic', help: 'your word that no device of the group accesses another' },
]

const save: Command = {
  name: 'save',
  operands: 'DEVICE... --to WHERE',
  help: 'move devices away from here; connects to where a restore listens',
  options: [
    {
      name: 'to',
      value: 'WHERE',
      help: 'where to send: PATH, unix:PATH, tcp:HOST:PORT, fd:N, or - for standard output',
    },
    force,
    {
      name: 'fresh',
      help: 'save a PCI function that nobody holds: empty, since the kernel resets it when it is opened',
    },
    {
      name: 'then',
      value: 'stop|resume',
      choices: ['stop', 'resume'],
      help: 'after a one-way save: stop (default), or resume: a snapshot',
    },
    { name: 'dry-run', help: 'end after the passports were compared' },
    { name: 'rate', value: 'BYTES', help: 'send at most so many bytes a second' },
    { name: 'max-pre-copy', value: 'TIME', help: 'switch over after this long in pre-copy (30s)' },
    { name: 'downtime', value: 'TIME', help: 'switch over once the rest fits this budget (300ms)' },
    { name: 'no-pre-copy', help: 'switch over at once' },
    { name: 'no-events', help: 'write no events and no report into the stream' },
    ...both,
    ...output,
  ],
}

const restore: Command = {
  name: 'restore',
  operands: 'DEVICE... --from WHERE',
  help: 'take devices in; listens where a save connects',
  options: [
    {
      name: 'from',
      value: 'WHERE',
      help: 'where to take from: PATH, unix:PATH, tcp:HOST:PORT, fd:N, or - for standard input',
    },
    {
      name: 'then',
      value: 'run|stop',
      choices: ['run', 'stop'],
      help: 'after a one-way stream: run the devices, or leave them stopped',
    },
    {
      name: 'hold',
      help: 'keep the devices open until standard input is closed: closing the last descriptor resets them',
    },
    {
      name: 'exec',
      value: 'CMD',
      help: 'then run CMD, which gets each device at the socket $VFIO_MIGRATION_SOCKETS/NAME',
    },
    { name: 'split-segments', help: "split what is larger than a region's window, if its device bears that" },
    force,
    ...both,
    ...output,
  ],
}

const demo: Command = {
  name: 'demo',
  operands: '',
  help: 'migrate software devices live between two processes, with proof',
  options: [
    { name: 'size', value: 'BYTES', help: 'bytes of each device (256MiB)' },
    { name: 'devices', value: 'N', help: 'how many devices (1)' },
    { name: 'seed', value: 'N', help: 'from which everything random is drawn (1)' },
    { name: 'no-pre-copy', help: 'devices that cannot be moved while they run' },
    { name: 'in-process', help: 'both ends in one process' },
    {
      name: 'break',
      value: 'verify|log|discard',
      choices: ['verify', 'log', 'discard'],
      help: 'break it on purpose: flip a bit, lose a dirty page, throw data away',
    },
    html,
    force,
    ...output,
  ],
}

const list: Command = {
  name: 'list',
  operands: '',
  help: 'list the VFIO devices of this host and what they are capable of; opens none',
  options: [host, ...report],
}

const probe: Command = {
  name: 'probe',
  operands: 'DEVICE',
  help: 'open a device, say what it is capable of, and close it; never one in use',
  options: [...region, ...report],
}

const doctor: Command = {
  name: 'doctor',
  operands: '[DEVICE]',
  help: 'say why this host, or a device of it, cannot migrate, and what to do about it; opens nothing',
  options: [host, ...report],
}

const trace: Command = {
  name: 'trace',
  operands: 'show|diff FILE...',
  help: 'show what was done to devices, call by call, or where two such traces differ',
  options: [
    { name: 'device', value: 'NAME', help: 'only the lines of this device, as the trace calls it' },
    { name: 'only', value: 'CALL,...', help: 'only these calls, such as set-state' },
    { name: 'without', value: 'CALL,...', help: 'all calls but these' },
    ...report,
  ],
}

const run: Command = {
  name: 'run',
  operands: '--device DEVICE... -- PROGRAM [ARGUMENT...]',
  help: 'run an unmodified VFIO program on software devices, by a library that is preloaded; a test tool, not a security boundary',
  options: [
    { name: 'device', value: 'DEVICE', repeated: true, help: 'a device that the program finds; again for one more' },
    {
      name: 'protocol',
      value: 'fsm|region',
      choices: ['fsm', 'region'],
      help: 'what the devices speak whose settings do not say (fsm)',
    },
    { name: 'trace', value: 'FILE', help: 'write every access to the devices to a file, for vfio-migration trace' },
    { name: 'blind', help: 'no dirty page is ever reported: what a test of dirty tracking must notice' },
    { name: 'quiet', help: 'do not say where the devices are' },
    { name: 'help', help: 'print this and end' },
  ],
}

const inspect: Command = {
  name: 'inspect',
  operands: 'FILE|- [FILE]',
  help: "show what is in a file that holds a migration, ours or QEMU's, and where it is damaged",
  options: [
    { name: 'frames', help: 'every part of the file, a line each, before the outline' },
    { name: 'verify', help: 'status 1 if the file is damaged, cut off, or contradicts itself' },
    { name: 'extract', value: 'DEVICE', help: 'the data of this device, as they were read from it' },
    { name: 'to', value: 'FILE', help: 'where --extract writes to; replaced once all of it was verified' },
    { name: 'diff', help: 'where two files differ, by object and frame; status 1 if they do' },
    {
      name: 'html',
      value: 'FILE',
      help: 'draw the run that a stream or a report tells of, or those of both ends, into a file',
    },
    force,
    { name: 'json', help: 'print one object; with --frames one line a part before it' },
    { name: 'help', help: 'print this and end' },
  ],
}

const view: Command = {
  name: 'view',
  operands: '[FILE...]',
  help: 'look into files on a page that is served to this machine only, and read in the browser; ends on Ctrl-C',
  options: [
    { name: 'port', value: 'N', help: 'the port at which the page is served (any that is free)' },
    { name: 'json', help: 'print one object, with the address' },
    { name: 'help', help: 'print this and end' },
  ],
}

const simulate: Command = {
  name: 'simulate',
  operands: 'WORD=VALUE...',
  help: 'simulate a migration and what goes wrong in it, the same each time; status 1 if a rule was broken',
  options: [
    { name: 'moments', help: 'every moment of it, a line each' },
    html,
    force,
    { name: 'json', help: 'print one object: the whole course' },
    { name: 'quiet', help: 'print nothing but errors' },
    { name: 'help', help: 'print this and end' },
  ],
}

/** Every command. */
export const commands = { save, restore, list, probe, doctor, trace, inspect, view, run, simulate, demo } as const

/** The name of a command. */
export type CommandName = keyof typeof commands
