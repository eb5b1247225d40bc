// Debian packages without installing any: configurations of the package manager of our own beside the machine's, one for
// each release, packages that are fetched, checked against the archive's signatures, and unpacked into folders.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cache, digest, folder, locked, Missing, run, say } from './cache.mjs'

/** The release whose kernels are used, and whose packages are meant where no other is named. */
const kernels = 'trixie'

/** The suites of a release, in the order in which they are preferred, and the one of its newer software. */
const suitesOf = (release) => [release, `${release}-updates`, backportsOf(release)]
const backportsOf = (release) => `${release}-backports`

/** An index older than this is fetched again, but only when something has to be resolved. */
const indexAge = 24 * 3600 * 1000

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Where this machine gets its Debian packages from: the bed uses the same place, for another release. */
const mirrors = () => {
  const given = process.env.VFIO_TESTBED_MIRROR
  if (given) return { main: given, security: undefined }
  const uris = run('apt-get', ['update', '--print-uris'])
  const find = (end) => uris.match(new RegExp(`^'(\\S+/${end})/dists/`, 'm'))?.[1]
  const [main, security] = [find('debian'), find('debian-security')]
  if (!main) {
    throw new Missing('no Debian mirror among the package sources of this machine: set VFIO_TESTBED_MIRROR to one')
  }
  return { main, security }
}

const configured = new Map()

/** The environment for apt: its own state, its own sources, no installed packages, so that nothing of the machine counts. */
const apt = (release = kernels) => {
  if (configured.has(release)) return configured.get(release)
  if (process.arch !== 'x64') throw new Missing(`the bed's kernels are for x64, this machine is ${process.arch}`)
  const { main, security } = mirrors()
  if (!existsSync(keyring)) throw new Missing(`no ${keyring}: install debian-archive-keyring`)
  const base = join(cache, 'apt', release)
  for (const name of ['state/lists/partial', 'cache/archives/partial']) mkdirSync(join(base, name), { recursive: true })
  const suites = suitesOf(release).map((suite) => [main, suite])
  if (security) suites.push([security, `${release}-security`])
  const sources = suites.map(([uri, suite]) => `deb [arch=amd64 signed-by=${keyring}] ${uri} ${suite} main\n`).join('')
  const options = {
    'APT::Architecture': 'amd64',
    'APT::Architectures': 'amd64',
    'APT::Get::List-Cleanup': 'false',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'Dir::Cache': join(base, 'cache'),
    'Dir::Cache::pkgcache': 'pkgcache.bin',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::Etc::sourcelist': join(base, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State': join(base, 'state'),
    'Dir::State::status': join(base, 'status'),
  }
  const lines = Object.entries(options).map(([name, value]) => `${name} "${value}";\n`)
  writeFileSync(join(base, 'apt.conf'), lines.join(''))
  writeFileSync(join(base, 'sources.list'), sources)
  writeFileSync(join(base, 'status'), '')
  const made = { env: { APT_CONFIG: join(base, 'apt.conf') }, base, sources }
  update(release, made)
  configured.set(release, made)
  return made
}

/** Fetches what the archive has, once a day. An old list will do where a new one cannot be had. */
const update = (release, { env, base, sources }) => {
  const stamp = join(base, 'updated')
  const before = existsSync(stamp) ? JSON.parse(readFileSync(stamp, 'utf8')) : undefined
  const known = before?.sources === digest(sources)
  if (known && Date.now() - before.at < indexAge) return
  say(`fetching the list of packages of ${release}`)
  try {
    run('apt-get', ['update', '-qq', '-o', 'APT::Update::Error-Mode=any'], { env })
  } catch (error) {
    const why = error.message.split('\n').slice(1, 3).join(' ')
    if (!known) throw new Missing(`the list of packages cannot be fetched: ${why}`)
    say(`the list of packages is old and cannot be fetched again: ${why}`)
  }
  writeFileSync(stamp, JSON.stringify({ at: Date.now(), sources: digest(sources) }))
}

/**
 * What `find()` finds in the archive's list, kept for a day: the archive changes under us, and two runs of one day should
 * not differ, nor ask again.
 */
const kept = (question, find) => {
  const file = join(cache, 'answers.json')
  const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {})
  const before = read()[question]
  if (before && Date.now() - before.at < indexAge) return before.answer
  return locked(() => {
    const answer = find()
    writeFileSync(file, JSON.stringify({ ...read(), [question]: { at: Date.now(), answer } }, null, 2))
    return answer
  })
}

/** The newest version of a package whose name matches, by the version in the name: `linux-headers-7.3.4+deb13-amd64`. */
export const newest = (prefix, pattern) =>
  kept(`newest ${prefix} ${pattern}`, () => {
    const names = run('apt-cache', ['pkgnames', prefix], { env: apt().env }).split('\n')
    const versions = names.map((name) => name.match(pattern)?.[1]).filter(Boolean)
    if (versions.length === 0) throw new Missing(`Debian's archive has no package ${prefix}* any more`)
    return versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  })

/** A field of the package's newest version. */
export const field = (name, wanted) =>
  kept(`${wanted} of ${name}`, () => {
    const shown = run('apt-cache', ['show', '--no-all-versions', name], { env: apt().env })
    return shown.match(new RegExp(`^${wanted}: (.*)$`, 'm'))?.[1]
  })

/** Those of a package's dependencies whose names match. */
export const dependencies = (name, pattern) =>
  (field(name, 'Depends') ?? '')
    .split(/[,|]/)
    .map((one) => one.trim().split(' ')[0])
    .filter((one) => pattern.test(one))

const unpack = (packages, into) => {
  for (const name of readdirSync(packages).filter((one) => one.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', join(packages, name), into])
  }
}

/** Fetches packages (`name` or `name=version`) into a folder, as they are. */
const fetch = (names, into) => {
  mkdirSync(into, { recursive: true })
  run('apt-get', ['download', '-qq', ...names], { env: apt().env, cwd: into })
}

/** Unpacks packages, and nothing that they depend on, into `into`. */
export const unpackOnly = (names, into) => {
  const packages = join(into, '.packages')
  fetch(names, packages)
  unpack(packages, into)
  rmSync(packages, { recursive: true })
}

/** Unpacks packages of the release that this machine itself runs: what is built here is linked with those. */
export const unpackOwn = (names, into) => {
  const packages = join(into, '.packages')
  mkdirSync(packages, { recursive: true })
  try {
    run('apt-get', ['download', '-qq', ...names], { cwd: packages })
  } catch (error) {
    throw new Missing(`the package sources of this machine do not give ${names.join(', ')}: ${error.message}`)
  }
  unpack(packages, into)
  rmSync(packages, { recursive: true })
}

/** Gives a file's bytes out of a package's file system to a shell command, without unpacking the package. */
export const pipeFrom = (name, file, shell, cwd) => {
  const packages = join(cwd, '.packages')
  fetch([name], packages)
  const [deb] = readdirSync(packages)
  const script = `set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" | ${shell}`
  run('bash', ['-c', script, 'bash', join(packages, deb), file], { cwd })
  rmSync(packages, { recursive: true })
}

/**
 * A folder with packages and all that they need, down to the C library: what is in it runs on any machine by that library's
 * own loader (`loader`).
 */
export const closure = (name, packages, { release = kernels, suite = release } = {}) => {
  const options = ['-qq', '-y', '-t', suite, '--no-install-recommends']
  const files = kept(`closure of ${packages.join(' ')} in ${suite}`, () => {
    const printed = run('apt-get', ['install', '--print-uris', ...options, ...packages], { env: apt(release).env })
    return [...printed.matchAll(/^'\S+' (\S+)/gm)].map((match) => match[1]).sort()
  })
  if (files.length === 0) throw new Missing(`Debian's archive cannot give ${packages.join(' ')}`)
  return folder(`${name}-${digest(...files)}`, (half) => {
    const { env, base } = apt(release)
    run('apt-get', ['install', '--download-only', ...options, ...packages], { env })
    for (const file of files) run('dpkg-deb', ['-x', join(base, 'cache/archives', file), half])
    run('apt-get', ['clean'], { env })
  })
}

/** The newest version of a package that is also in the suite of newer software. */
export const fromBackports = (name, packages) => closure(name, packages, { suite: backportsOf(kernels) })

/** The command that runs a program of a closure, with its own libraries. */
export const loader = (folder) => {
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(folder, path))
  const program = ['usr/lib64', 'lib64', 'usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']
    .map((path) => join(folder, path, 'ld-linux-x86-64.so.2'))
    .find((path) => existsSync(path))
  return [program, '--library-path', libraries.join(':')]
}
