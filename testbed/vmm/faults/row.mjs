// What one row of the fault matrix is.

/**
 * @typedef {object} Row
 * @property {string[]} on which QEMUs
 * @property {'source' | 'target'} side whose device fails
 * @property {string} what is asked of the device that it fails at
 * @property {string} how it fails
 * @property {string | Record<string, string>} theirs the faults of the model as QEMU meets them, with commas between; by
 *   QEMU if they differ. QEMU changes a device's state before the guest runs for the first time, so that its second
 *   request in `running` is the one that begins a migration
 * @property {string} [ours] where our client meets them; none where it never asks for that
 * @property {string} settings of all devices
 * @property {string} [own] more settings of our devices: QEMU has the IOMMU track, which models have in front of them only
 *   where something plays a kernel
 * @property {object} [saving] options of our save
 * @property {object} [restoring] options of our restore
 * @property {boolean} [cancelled] whether the migration is cancelled in pre-copy
 * @property {string[]} [chance] QEMUs of which one or another thing may become, as it happens: all are kept
 * @property {string[]} [capabilities] that QEMU migrates with
 * @property {number} [devices] of the machine, of which the last one fails; one without it
 * @property {boolean} [cdev] whether QEMU opens the device by its character device, with an iommufd
 * @property {boolean} [rare] whether it is like another, and run only with `--all` or by its name
 */

/** Rows as they are added, by their names. */
export class Rows {
  /** @type {Record<string, Row>} */
  all = {}

  /** @param {{ on: string[], settings: string }} shared by rows that do not say otherwise */
  constructor(shared) {
    this.shared = shared
  }

  /** `more.ours` is where our client meets the fault elsewhere than QEMU. */
  add(side, what, how, theirs, more = {}) {
    this.all[`${side}: ${what}: ${how}`] = { side, what, how, theirs, ours: theirs, ...this.shared, ...more }
  }

  /** The same call at several of its occurrences, each of which fails with EIO: `[its name, its number]`. */
  each(side, call, occurrences, more = {}) {
    for (const [what, at, ours = at] of occurrences) {
      this.add(side, what, 'EIO', `${call}@${at}:EIO`, { ...more, ours: `${call}@${ours}:EIO` })
    }
  }
}

/** Of a save: nothing is left to stop-copy that can come in pre-copy, however long that takes on a busy machine. */
export const allInPreCopy = { downtimeBudgetMs: 0, maxPreCopyMs: 60_000 }

/** More settings of each device at one end, where these faults come to pass or none do. */
export const eachOf = ({ devices = 1 }, faults = '') => {
  const failing = faults.split(',').filter(Boolean)
  const others = Array.from({ length: devices - 1 }, (_, index) => `seed=${index + 1}`)
  return [...others, failing.map((fault) => `fault=${fault}`).join(',')]
}
