import type { FileState } from '../cli/view/files.ts'
import type { Origin } from './bytes.ts'
import type { Absent } from './files.ts'

/** The files that were named on the command line, as the server has them; none without such a server. */
export const handedFiles = async (): Promise<{ readonly origins: Origin[]; readonly absent: Absent[] }> => {
  const response = await fetch('files.json')
  if (!response.ok) return { origins: [], absent: [] }
  const states = (await response.json()) as readonly FileState[]
  const origins: Origin[] = []
  const absent: Absent[] = []
  for (const [place, state] of states.entries()) {
    if ('problem' in state) absent.push(state)
    else origins.push({ ...state, url: new URL(`files/${place}`, location.href.split('#')[0]).href })
  }
  return { origins, absent }
}
