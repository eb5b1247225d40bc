import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const main = fileURLToPath(new URL('../../../ts/dist/cli/main.js', import.meta.url))

/** What a run of the command line left behind. */
export interface Ran {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A run of the command line that has not ended yet. */
export class Run {
  readonly child: ChildProcess
  readonly ended: Promise<Ran>
  stdout = ''
  stderr = ''

  constructor(
    args: readonly string[],
    options: {
      readonly env?: NodeJS.ProcessEnv
      readonly stdin?: 'pipe' | 'ignore' | number
      readonly stdio?: (number | 'pipe' | 'ignore')[]
    } = {},
  ) {
    const env = { ...process.env, NO_COLOR: '1', ...options.env }
    const child = spawn(process.execPath, [main, ...args], {
      env,
      stdio: options.stdio ?? [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    })
    this.child = child
    child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString('latin1')
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
    this.ended = once(child, 'close').then(([status, signal]) => ({
      status: status as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: Buffer.from(this.stdout, 'latin1').toString(),
      stderr: this.stderr,
    }))
  }

  /** Waits until it has said something; fails if it ends without. */
  async said(what: string | RegExp): Promise<string> {
    const found = () =>
      typeof what === 'string'
        ? this.stderr.includes(what) || this.stdout.includes(what)
        : what.test(this.stderr) || what.test(this.stdout)
    while (!found()) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.ended
        if (found()) break
        throw new Error(`it ended without saying ${what}: ${this.stderr}${this.stdout}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return this.stderr
  }
}

/** Runs the command line to its end. */
export const run = (...args: string[]): Promise<Ran> => new Run(args).ended

/** The one object that `--json` ends with. */
export const lastJson = ({ stdout }: { readonly stdout: string }): Record<string, unknown> =>
  JSON.parse(stdout.trim().split('\n').at(-1) as string) as Record<string, unknown>
