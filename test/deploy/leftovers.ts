/** What a part of the tests may leave behind, as sets of names that are compared before and after it. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Names of what exists, such as `mount /run/x`. */
export type Inventory = ReadonlySet<string>

/** What was there before keeps its place; only what is new is left behind. Waits for what is about to go. */
export async function leftSince(
  before: Inventory,
  take: () => Inventory,
  withinMs: number,
): Promise<string[]> {
  for (const untilMs = performance.now() + withinMs; ; await sleep(100)) {
    const left = [...take()].filter((name) => !before.has(name))
    if (left.length === 0 || performance.now() > untilMs) return left
  }
}

/** Of the namespaces that a part runs in: processes other than the two given, mounts, named network namespaces. */
export function insideOfPart(ownPids: ReadonlySet<number>): Inventory {
  return new Set([
    ...processes(ownPids),
    ...mounts(),
    ...entries('network namespace', '/run/netns'),
  ])
}

/** Of the machine, which all parts share: control groups, network interfaces, packet filter rules. */
export function onMachine(): Inventory {
  return new Set([
    ...cgroups('/sys/fs/cgroup'),
    ...entries('network interface', '/sys/class/net'),
    ...packetFilter(),
  ])
}

/** Whether other tests of deploy run on this machine, which may change what all share. */
export function othersRun(): boolean {
  const own = new Set(ancestors(process.pid))
  return readdirSync('/proc')
    .map(Number)
    .some(
      (pid) =>
        Number.isInteger(pid) &&
        !own.has(pid) &&
        isAlive(pid) &&
        commandOf(pid).includes('test/deploy/'),
    )
}

function ancestors(pid: number): number[] {
  const [, parent = '0'] = /^PPid:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`)) ?? []
  return pid === 0 ? [] : [pid, ...ancestors(Number(parent))]
}

/** Kernel settings by their paths. */
export function sysctlValues(): ReadonlyMap<string, string> {
  return new Map(settingsIn('/proc/sys').map((path) => [path, readText(path).trim()]))
}

/** Those that have another value now. A setting that was not there came with a module of the kernel. */
export function changedSysctls(before: ReadonlyMap<string, string>): string[] {
  return [...before].flatMap(([path, value]) => {
    const now = readText(path).trim()
    return now === value ? [] : [`sysctl ${path} = ${now}, which was ${value}`]
  })
}

function processes(ownPids: ReadonlySet<number>): string[] {
  const pids = readdirSync('/proc').map(Number)
  return pids
    .filter((pid) => Number.isInteger(pid) && !ownPids.has(pid) && isAlive(pid))
    .map((pid) => `process ${pid} ${commandOf(pid)}`)
}

/** A zombie is not: its parent has ended, and whatever it held is free. */
function isAlive(pid: number): boolean {
  const status = readText(`/proc/${pid}/status`)
  return status !== '' && !/^State:\s+[ZX]/m.test(status)
}

function commandOf(pid: number): string {
  const words = readText(`/proc/${pid}/cmdline`).split('\0').join(' ').trim()
  return words === '' ? readText(`/proc/${pid}/comm`).trim() : words.slice(0, 200)
}

function mounts(): string[] {
  const lines = readText('/proc/self/mountinfo').split('\n')
  return lines.flatMap((line) => {
    const [id, , , , at] = line.split(' ')
    return id === undefined || at === undefined ? [] : [`mount ${at} (${id})`]
  })
}

/** One with processes in it is in use, by somebody else: those of a part have ended. */
function cgroups(dir: string): string[] {
  const below = listing(dir, { directories: true }).map((name) => join(dir, name))
  return below.flatMap((each) => [...(isInUse(each) ? [] : [`cgroup ${each}`]), ...cgroups(each)])
}

function isInUse(cgroup: string): boolean {
  return (
    readText(join(cgroup, 'cgroup.procs')) !== '' ||
    listing(cgroup, { directories: true }).some((name) => isInUse(join(cgroup, name)))
  )
}

function packetFilter(): string[] {
  const { stdout } = spawnSync('nft', ['--stateless', 'list', 'ruleset'], { encoding: 'utf8' })
  return (stdout ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => `packet filter rule ${line.trim()}`)
}

/** They change by themselves, or come and go with interfaces. */
const MOVING =
  /^\/proc\/sys\/(?:fs\/(?:binfmt_misc|quota|[a-z-]+-(?:nr|state)$)|kernel\/(?:random|ns_last_pid|pty|perf_|sched_|tainted)|net\/netfilter\/nf_conntrack_count|net\/.*\/(?:neigh|conf)\/(?!all\b|default\b))/

function settingsIn(dir: string): string[] {
  const files = listing(dir, { directories: false }).map((name) => join(dir, name))
  const below = listing(dir, { directories: true }).map((name) => join(dir, name))
  return [...files, ...below.filter((each) => !MOVING.test(each)).flatMap(settingsIn)].filter(
    (path) => !MOVING.test(path),
  )
}

function entries(kind: string, dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => `${kind} ${name}`)
  } catch {
    return []
  }
}

function listing(dir: string, { directories }: { readonly directories: boolean }): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() === directories)
      .map(({ name }) => name)
  } catch {
    // gone meanwhile
    return []
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // gone meanwhile, or not to be read
    return ''
  }
}
