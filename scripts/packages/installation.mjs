// An empty folder into which npm installs our packages, on a system where nothing can be compiled, and programs that run
// there.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** Milliseconds after which what still runs counts as hung, not as slow. */
const watchdog = 300_000

const execute = promisify(execFile)

/** Npm's own program, which another Node can run as well. */
const npmOf = () => realpathSync(join(dirname(process.execPath), 'npm'))

/** A folder with an installation in it. */
export class Installation {
  #base = mkdtempSync(join(tmpdir(), 'vfio-migration-install-'))
  /** The folder. */
  folder = join(this.#base, 'empty')
  /** What starts Node here: the program, and what stands before it where that is another processor's. */
  #node
  #env

  /**
   * @param {string[]} [node] the command that starts Node
   */
  constructor(node = [process.execPath]) {
    this.#node = node
    mkdirSync(this.folder)
    const bin = join(this.#base, 'bin')
    mkdirSync(bin)
    // Only these are on PATH: nothing that compiles, and no cargo.
    symlinkSync(node.at(-1), join(bin, 'node'))
    symlinkSync('/bin/sh', join(bin, 'sh'))
    this.#env = { PATH: bin, HOME: this.#base, TMPDIR: tmpdir(), NO_COLOR: '1' }
    writeFileSync(join(this.folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  }

  /** Installs packages from a registry, with more options of `npm install`. */
  async install(registry, packages, ...options) {
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--replace-registry-host=never']
    const where = ['--registry', registry, '--cache', join(this.#base, 'cache')]
    const { PATH } = this.#env
    // npm runs with the Node of this machine: an emulated one is for what was installed.
    await execute(process.execPath, [npmOf(), 'install', ...quiet, ...where, ...options, ...packages], {
      cwd: this.folder,
      env: { ...process.env, PATH, npm_config_cache: join(this.#base, 'cache') },
    })
  }

  /** Which of our packages are installed, in order. */
  names() {
    return readdirSync(join(this.folder, 'node_modules'))
      .filter((name) => name.startsWith('vfio-migration'))
      .sort()
  }

  /** Writes a file of the program that uses the installation. */
  write(name, content) {
    writeFileSync(join(this.folder, name), content)
    return join(this.folder, name)
  }

  /** Runs Node with arguments; what it printed and how it ended. */
  async node(args, env = {}) {
    const [command, ...before] = this.#node
    return execute(command, [...before, ...args], {
      cwd: this.folder,
      env: { ...this.#env, ...env },
      maxBuffer: 64 << 20,
      timeout: watchdog,
      killSignal: 'SIGKILL',
    }).then(
      ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
      ({ code, signal, stdout, stderr, message }) => ({ status: code ?? signal ?? message, stdout, stderr }),
    )
  }

  /** Runs the command line that was installed. */
  cli(...args) {
    return this.node([join(this.folder, 'node_modules/vfio-migration/ts/dist/cli/main.js'), ...args])
  }

  /** Whether PATH has a program. */
  async has(program) {
    const { status } = await this.node([
      '-e',
      "process.exit(require('node:child_process').spawnSync(process.argv[1]).error ? 1 : 0)",
      program,
    ])
    return status === 0
  }

  remove() {
    rmSync(this.#base, { recursive: true, force: true })
  }
}
