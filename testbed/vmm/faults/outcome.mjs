// How a migration with a fault ended, in the same words whoever carried it out.

/**
 * @typedef {object} Outcome
 * @property {'completed' | 'failed' | 'cancelled' | 'in doubt' | 'never ends' | 'crashed'} says what the source says of it
 * @property {'runs on' | 'runs on, device wiped' | 'stopped' | 'stopped, device kept' | 'device in error' | 'hangs' | 'crashed'}
 *   source what became of the guest there
 * @property {'runs' | 'runs, device wiped' | 'runs, other data' | 'ended' | 'waits' | 'device kept' | 'hangs' | 'crashed'} target
 */

/** One line. @param {Outcome} outcome */
export const textOf = ({ says, source, target }) => `${says}; source: ${source}; destination: ${target}`

/**
 * How bad it is: 0, the guest lives on in one place, with its device as it was; 1, it does not, and that is said: everything
 * is kept in doubt, or the device is named as lost; 2, it does not, and somebody says otherwise or nothing at all.
 *
 * @param {Outcome} outcome
 */
export const badness = ({ says, source, target }) => {
  const here = source === 'runs on'
  const there = target === 'runs'
  const wrong = [source, target].some((end) => /wiped|other data|hangs|crashed/.test(end)) || says === 'crashed'
  if (wrong || (here && there) || (says === 'completed' && !there)) return 2
  if (says === 'completed' ? there : here && says !== 'never ends') return 0
  if (says === 'never ends') return here ? 1 : 2
  return says === 'in doubt' || source === 'device in error' || source === 'stopped, device kept' ? 1 : 2
}
