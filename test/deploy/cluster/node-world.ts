/**
 * A machine for a cluster of one node: a network namespace with a world outside of it, directories that programs of
 * Kubernetes have by fixed names, control groups, and kernel settings that the kubelet changes. All of it goes with
 * close(). It runs in a mount namespace of the part (test/deploy/run-part.ts), where mounts reach nobody else.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { METADATA_ADDRESS, NODE_ADDRESS, OUTSIDE_ADDRESS } from '../policies/addresses.ts'

export interface NodeWorld {
  /** A directory of its own, with a short name: it holds sockets. */
  readonly dir: string
  /** Below each hierarchy of control groups. */
  readonly cgroupRoot: string
  close(): Promise<void>
}

/** The words before a command that put it on the node, or outside. */
export function enter(name: 'node' | 'outside'): string[] {
  return ['nsenter', `--net=/run/netns/${name}`, '--']
}

/** Ours, and those of pods. */
const NETWORK_NAMESPACES = /^(?:node|outside|cni-.*)$/

/** Kubernetes has these names in its code: each is covered by a directory of this test. */
const FIXED = [
  '/var/lib/kubelet',
  '/var/lib/cni',
  '/var/lib/kube-router',
  '/var/log/pods',
  '/var/log/containers',
  '/run/containerd',
]

/** What the kubelet sets for the whole machine. */
const SYSCTLS = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
].map((name) => `/proc/sys/${name}`)

export function createNodeWorld(dir: string): NodeWorld {
  const sysctls = SYSCTLS.map((path) => [path, readFileSync(path, 'utf8')] as const)
  const made = FIXED.filter((path) => !existsSync(path))
  for (const path of FIXED) cover(path, join(dir, 'fixed', path.replaceAll('/', '_')))
  // it syncs each write, which a disk makes slow
  mkdirSync(join(dir, 'etcd'))
  run('mount', '-t', 'tmpfs', '-o', 'mode=0700', 'etcd', join(dir, 'etcd'))
  makeNetwork()
  const cgroupRoot = `clawmesh-cluster-${basename(dir)}`
  for (const hierarchy of hierarchies()) mkdirSync(join(hierarchy, cgroupRoot), { recursive: true })
  return {
    dir,
    cgroupRoot: `/${cgroupRoot}`,
    async close() {
      for (const [path, value] of sysctls) writeFileSync(path, value)
      for (const name of readdirSync('/run/netns').filter((each) => NETWORK_NAMESPACES.test(each)))
        run('ip', 'netns', 'delete', name)
      unmountBelow([dir, ...FIXED])
      for (const path of made.toReversed()) rmdirSync(path)
      for (const hierarchy of hierarchies()) await removeCgroups(join(hierarchy, cgroupRoot))
    },
  }
}

/** The kubelet mounts volumes there, which containers must see: the mount is shared with the namespaces of theirs. */
function cover(path: string, by: string): void {
  mkdirSync(path, { recursive: true })
  mkdirSync(by, { recursive: true })
  run('mount', '--bind', by, path)
  run('mount', '--make-shared', path)
}

function makeNetwork(): void {
  const on = (name: 'node' | 'outside', ...command: readonly string[]) => {
    const [program = '', ...args] = [...enter(name), ...command]
    run(program, ...args)
  }
  for (const name of ['node', 'outside'] as const) {
    run('ip', 'netns', 'add', name)
    on(name, 'ip', 'link', 'set', 'lo', 'up')
  }
  on(
    'node',
    'ip',
    'link',
    'add',
    'wan',
    'type',
    'veth',
    'peer',
    'name',
    'wan',
    'netns',
    '/run/netns/outside',
  )
  on('node', 'ip', 'address', 'add', `${NODE_ADDRESS}/24`, 'dev', 'wan')
  on('outside', 'ip', 'address', 'add', `${OUTSIDE_ADDRESS}/24`, 'dev', 'wan')
  on('outside', 'ip', 'address', 'add', `${METADATA_ADDRESS}/32`, 'dev', 'lo')
  for (const name of ['node', 'outside'] as const) on(name, 'ip', 'link', 'set', 'wan', 'up')
  on('node', 'ip', 'route', 'add', 'default', 'via', OUTSIDE_ADDRESS)
  // the world outside knows the way back to every pod
  on('outside', 'ip', 'route', 'add', 'default', 'via', NODE_ADDRESS)
  on('node', 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1')
}

function hierarchies(): string[] {
  const root = '/sys/fs/cgroup'
  if (existsSync(join(root, 'cgroup.controllers'))) return [root]
  return readdirSync(root)
    .map((name) => join(root, name))
    .filter((path) => existsSync(join(path, 'cgroup.procs')))
}

/** A group is busy until its last process is gone. */
async function removeCgroups(path: string): Promise<void> {
  if (!existsSync(path)) return
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) await removeCgroups(join(path, entry.name))
  for (let attempt = 1; ; attempt += 1)
    try {
      return rmdirSync(path)
    } catch (cause) {
      if (attempt === 100) throw cause
      await sleep(100)
    }
}

/** The last one first. */
function unmountBelow(prefixes: readonly string[]): void {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')
  const points = lines.map((line) => line.split(' ')[4] ?? '')
  for (const point of points.toReversed())
    if (prefixes.some((prefix) => point.startsWith(prefix)))
      spawnSync('umount', ['--lazy', point], { stdio: 'ignore' })
}

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}
