// What the moments of a simulated migration mean, shortly: for people who see a migration for the first time.
import type { Phase, Side } from '../session/report.ts'
import type { Moment } from '../simulation.ts'

/** What an end does in a phase, and why. */
const phases: Readonly<Record<Phase, string | Readonly<Record<Side, string>>>> = {
  checking: 'Passports are compared. Nothing has changed yet: a refusal here costs nothing.',
  preparing: {
    save: 'The trackers of dirty pages start, and the devices that can enter pre-copy. The guest goes on working.',
    restore: 'The devices enter resuming, in which they take the data of others.',
  },
  'pre-copy': {
    save: 'Data flows while the guest runs. What it changes meanwhile is sent again, until what is left fits the downtime budget, or time is up.',
    restore: 'Data is loaded while the guest still runs at the source.',
  },
  loading: {
    save: 'Data flows.',
    restore: 'Every frame is verified, and only then written to its device: data that is damaged never reaches one.',
  },
  pausing: {
    save: "The switchover begins: the caller's pause hook stops the guest. The downtime counts from here.",
    restore: 'The guest is being paused.',
  },
  grace: {
    save: 'The barrier: every device enters its P2P-quiescent state, and none goes on before all are there. So no device stops while another one still writes to it.',
    restore: 'The barrier, on the way up: all devices are quiescent before any runs.',
  },
  stopping: {
    save: 'Every device enters stop-copy, in which it does nothing but give its data. Only after the last one has stopped are the trackers read for the last time.',
    restore: 'The devices stop.',
  },
  draining: {
    save: 'The rest of the data and of the dirty pages is sent. No guest runs, so this is what a small budget keeps short.',
    restore: 'The rest of the data comes.',
  },
  configuring: {
    save: 'The destination configures its devices.',
    restore:
      "All data is there. The caller's configure hook restores what is not in it, such as interrupts. Then the devices leave resuming for stop, which is where drivers look whether their data is good.",
  },
  loaded: {
    save: 'Everything was sent. The source owns the guest until it hears that all of it was loaded, and can still go back.',
    restore: 'Everything is loaded, and nothing runs. The guest is still the source’s.',
  },
  'taking-over': {
    save: 'The guest was given up: from here on it is the destination’s, and cancelling comes too late. The source keeps its devices as they are until it hears that the guest runs there.',
    restore:
      'The guest is the destination’s: the devices go by way of the barrier to running, then the takeOver hook lets the guest run.',
  },
  finishing: {
    save: 'The guest runs at the destination. The source’s devices go from stop-copy to stop.',
    restore: 'The guest runs here. The destination waits for the source to close, so that its last word is not lost.',
  },
  returning: {
    save: 'The way back: all devices to the barrier, then to the state in which they were found; then the trackers stop and the guest is unpaused.',
    restore:
      'It will not have the guest. What entered resuming holds parts of another device: it is reset, and never let run from there.',
  },
  'in-doubt': 'It cannot be known who owns the guest. Nothing runs, everything is kept, and the caller is asked.',
  ended: 'The session is over.',
}

const messages: Readonly<Record<string, string>> = {
  head: 'The head of the stream: the session and the table of its objects, with their passports.',
  accepted: 'The destination has what is needed, and has changed nothing yet.',
  begin: 'The source begins. Until here nothing has changed at either end.',
  data: 'One frame of data, with checksums and a sequence number.',
  ack: 'A frame was verified and placed, so the source may use its buffer again. It keeps it until then, since data cannot be read from a device twice.',
  'initial-loaded': 'The initial data is in the device: pre-copy may end.',
  'object-end': 'All of this object was sent, with its totals.',
  loaded: 'Every device has its data and has left resuming.',
  'given-up': 'The word by which the guest changes hands. It is sent only after loaded was heard.',
  running: 'The guest runs at the destination.',
  refused:
    'The destination will not run the guest, ever. It says so only while none of its devices was asked to run, so the source may take the guest back.',
  failed:
    'The destination could not bring the guest up, and it may have run: the source must not run it without a decision.',
  withdraw: 'The source is in doubt, and asks the destination to give up its claim.',
  cancelled: 'The source keeps the guest.',
  alive: 'The destination is still at work. The source’s deadline counts silence.',
  end: 'The last frame of a one-way stream, with the totals of all objects.',
  event: 'An event, so that the stream can show its own course later.',
  report: 'The source’s report, for the same.',
}

const hooks: Readonly<Record<string, string>> = {
  'hook pause': 'The caller stops the guest. When this returns, nobody touches the devices any more.',
  'hook unpause': 'The guest stays here, and may run again.',
  'hook configure': 'The caller restores what is not in the data: PCI config space and interrupts.',
  'hook takeOver': 'The devices run; the caller lets the guest run.',
}

const steps: readonly (readonly [RegExp, string])[] = [
  [
    /^set state/,
    'One request. The device walks the arcs to that state; only arcs that its table has are ever asked for.',
  ],
  [/^read state/, 'The state is read, never assumed: after a failure this decides what to do next.'],
  [/^reset/, 'A reset wipes the device. It is never part of a migration that succeeds.'],
  [/^pre-copy info/, 'How much is left to send in pre-copy: an estimate.'],
  [/^data size/, 'How much the device would give once it has stopped: an estimate.'],
  [/^start tracker/, 'From here on the pages that are written to are logged.'],
  [/^tracker report/, 'Which pages were written to since the last report. They are sent again.'],
  [/^stop tracker/, 'Nobody needs to know any more what is written to.'],
  [/^read (device|memory)/, 'A chunk is filled. How many are in flight is bounded.'],
  [/^write (device|memory)/, 'The frame was verified, so it may be written.'],
  [
    /^commit/,
    'The stream is made to last: a file gets its name. For a one-way stream this is where the guest is given up.',
  ],
  [/^discard/, 'Nothing of the stream is left behind.'],
  [/^disconnect/, 'The connection is closed after everything before it was sent.'],
  [/^open/, 'The stream begins.'],
]

const faults: readonly (readonly [RegExp, string])[] = [
  [/:fails\(/, 'This call does nothing and fails.'],
  [/:part\(/, 'The device walks a part of the way, and the call fails.'],
  [/:breaks$/, 'The device enters its error state: only a reset leaves it.'],
  [/:vanishes$/, 'The device is gone, for good.'],
  [/:odd$/, 'The device is in a state that has no name.'],
  [/:late-/, 'The call works, in twice the deadline. Until it returns, nobody knows what became of it.'],
  [/:never$/, 'The call never returns. The session is not over before it does, and says overdue.'],
  [/:killed$/, 'The host of this end dies, and its devices and its guest with it.'],
  [/:silent$/, 'From here on nothing passes in either direction, and nobody is told.'],
  [/:cut\(/, 'The connection is cut: this message and all after it are lost.'],
  [/:mute$/, 'This message and all after it in its direction are lost, and nobody is told.'],
  [/:stall$/, 'This message and all after it are held back for twice the deadline.'],
  [/:flip$/, 'One bit of this message is another when it arrives. Its checksums find that.'],
  [/:spoil$/, 'The payload is damaged after it was verified: nobody can see that.'],
  [/:stray\(/, 'A message comes that has no business here. Its sender broke the rules.'],
  [/:lies$/, 'It says that it worked, and does nothing.'],
]

const first = (table: readonly (readonly [RegExp, string])[], text: string) =>
  table.find(([pattern]) => pattern.test(text))?.[1]

const ofPhase = (phase: Phase, side: Side) => {
  const text = phases[phase]
  return typeof text === 'string' ? text : text[side]
}

/** One or two sentences about a moment; none where its own words say it all. */
export const explanationOf = (moment: Moment): string | undefined => {
  switch (moment.type) {
    case 'begins':
      return 'The guest works at the source on its devices. The destination has devices of the same kind, which nobody uses yet.'
    case 'step':
      return hooks[moment.does] ?? first(steps, moment.does) ?? messages[moment.does.replace(/^send /, '')]
    case 'sent':
    case 'received':
      return messages[moment.message]
    case 'answered':
      return moment.failed
        ? 'A request failed. What the device says now is asked before anything else is done to it.'
        : undefined
    case 'damaged':
      return 'Nothing of the stream is believed after this.'
    case 'disconnected':
      return 'What this means depends on who owns the guest now.'
    case 'left':
      return 'Nothing comes back on a one-way stream: what has left may be forgotten.'
    case 'changed':
      return moment.to === 'gone' ? 'It answers nothing any more.' : 'The session learns of it when the call returns.'
    case 'guest':
      return moment.runs ? undefined : 'It notices nothing but the time that passes until it runs again.'
    case 'fault':
      return first(faults, moment.fault)
    case 'wish':
      return 'A caller has the last word, where the rules of a session let it.'
    case 'file-there':
      return 'A file changes hands by its name: before, there was nothing; now, there is all of it.'
    case 'finished':
      return undefined
    case 'broken':
      return 'This must never happen. Here a device or a caller lies, which no session can help; a checker outside of both ends sees it.'
    case 'event':
      if (moment.event.type === 'phase') return ofPhase(moment.event.phase, moment.event.side)
      if (moment.event.type === 'given-up') return messages['given-up']
      if (moment.event.type === 'in-doubt') return phases['in-doubt'] as string
      if (moment.event.type === 'switchover') return 'Pre-copy ends, and this is why.'
      if (moment.event.type === 'overdue') return 'The call has passed its deadline and has not returned.'
      return undefined
    default:
      return moment satisfies never
  }
}
