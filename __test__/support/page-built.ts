import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Whether `vfio-migration view` has a page to serve. Where there is none, the setup has said why. */
export const pageBuilt = existsSync(fileURLToPath(new URL('../../../ts/dist/page/index.html', import.meta.url)))
