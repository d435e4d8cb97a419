/** A booted machine: systemd as process 1 in systemd-nspawn, on an overlay of the tree that is gone with it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { mkdtemp, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Ran, runCommand } from '../../support/run-command.ts'
import { waitFor } from '../../support/wait-for.ts'
import { debianTree } from './debian-tree.ts'

export interface Machine {
  /** Runs a command as root in it. */
  run(command: string, ...args: readonly string[]): Promise<Ran>
  /** The same. Resolves with stdout. @throws Error with stderr when it fails */
  must(command: string, ...args: readonly string[]): Promise<string>
  /** Writes a file that root alone can read, unless `mode` says otherwise. */
  write(path: string, text: string, mode?: string): Promise<void>
  /** The journal of a unit, messages alone. */
  journal(unit: string): Promise<string>
  close(): Promise<void>
}

export interface MachineOptions {
  /** What it sees of this machine, read-only: a path here to a path there. */
  readonly mounts: Readonly<Record<string, string>>
}

/** Its control groups are below one of its own, so that it manages no other process. */
const BOOT = `
  dir=$1 tree=$2; shift 2
  for root in $CGROUPS; do
    mkdir "$root/$NAME"
    echo $$ >"$root/$NAME/cgroup.procs"
  done
  mount -t tmpfs tmpfs "$dir"
  mkdir "$dir/upper" "$dir/work" "$dir/root"
  mount -t overlay -o "lowerdir=$tree,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/root"
  exec systemd-nspawn --quiet --directory="$dir/root" --boot --keep-unit --register=no --private-network \\
    --link-journal=no --resolv-conf=off --timezone=off --console=pipe "$@" systemd.mask=console-getty.service`

export async function bootMachine({ mounts }: MachineOptions): Promise<Machine> {
  const tree = await debianTree()
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-machine-'))
  const name = basename(dir)
  const roots = cgroupRoots()
  const binds = Object.entries(mounts).map(([here, there]) => `--bind-ro=${here}:${there}`)
  const said: string[] = []
  const nspawn = spawn(
    'unshare',
    [
      ...['--mount', '--propagation', 'private', 'sh', '-ec', BOOT, 'sh', dir, tree],
      ...[`--machine=${name}`, ...binds],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NAME: name, CGROUPS: roots.join(' ') },
    },
  )
  for (const stream of [nspawn.stdout, nspawn.stderr])
    stream.on('data', (chunk) => said.push(String(chunk)))
  const gone = once(nspawn, 'exit')
  let leader: number | null = null
  const close = async () => {
    // all processes of the machine go with its first one, and systemd-nspawn with them
    if (leader !== null) process.kill(leader, 'SIGKILL')
    else nspawn.kill('SIGKILL')
    await gone
    await takeBack(dir, roots)
  }
  try {
    leader = await leaderOf(nspawn, said)
    const enter = enterBy(leader)
    const state = () => execute([...enter, 'systemctl', 'is-system-running'])
    await waitFor(
      'systemd to have started',
      async () => /^(?:running|degraded)/.test((await state()).stdout),
      { everyMs: 100, withinMs: 90_000 },
    )
    return machineOf(enter, close)
  } catch (cause) {
    await close()
    throw new Error(`no machine was booted: ${said.join('').slice(-2_000)}`, { cause })
  }
}

function machineOf(enter: readonly string[], close: () => Promise<void>): Machine {
  const run: Machine['run'] = (...words) => execute([...enter, ...words])
  const must: Machine['must'] = async (...words) => {
    const { code, stdout, stderr } = await run(...words)
    if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}${stdout}`)
    return stdout
  }
  return {
    ...{ run, must, close },
    async write(path, text, mode = '600') {
      const script = 'umask 077; mkdir -p -m 755 "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"'
      const { code, stderr } = await execute(
        [...enter, 'sh', '-ec', script, 'sh', path, mode],
        text,
      )
      if (code !== 0) throw new Error(`${path}: ${stderr}`)
    },
    journal: (unit) => must('journalctl', '--no-pager', '-o', 'cat', '-u', unit),
  }
}

function enterBy(pid: number): readonly string[] {
  return [
    'nsenter',
    '--target',
    String(pid),
    ...['--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wdns=/', '--'],
  ]
}

/** Process 1 of the machine, as it is called here. */
function leaderOf(nspawn: ChildProcess, said: readonly string[]): Promise<number> {
  const { pid } = nspawn
  return waitFor('process 1 of the machine', async () => {
    if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended: ${said.join('')}`)
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    for (const child of children.split(' ').filter(Boolean))
      if ((await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')).trim() === 'systemd')
        return Number(child)
    return null
  })
}

/** Where control groups of version 1 by name, and of version 2, are. */
function cgroupRoots(): readonly string[] {
  const hybrid = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'].filter(existsSync)
  return hybrid.length > 0 ? hybrid : ['/sys/fs/cgroup']
}

async function takeBack(dir: string, roots: readonly string[]): Promise<void> {
  const name = basename(dir)
  for (const root of roots) {
    const below = globSync('**/', { cwd: join(root, name) }).map((path) => join(root, name, path))
    // the deepest first
    for (const each of [...below, join(root, name)].toSorted((a, b) => b.length - a.length))
      await rmdir(each).catch(() => {})
  }
  await rm(dir, { recursive: true, force: true })
}

function execute(words: readonly string[], input = ''): Promise<Ran> {
  // nothing of this machine's environment
  return runCommand(words, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, input })
}
