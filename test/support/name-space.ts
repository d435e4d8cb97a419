/** Runs a program of ours in a network of its own, with a resolv.conf and a hosts file of its own. Linux alone has these. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface NameSpaceOptions {
  readonly resolvConf: string
  readonly hosts: string
}

/** Loopback is up, and there is no other network. A user who is not root is root of the namespaces alone. */
const ENTER = ['unshare', ...(process.geteuid?.() === 0 ? [] : ['-r']), '-m', '-n', 'sh', '-c']
const SET_UP =
  'ip link set lo up && mount --bind "$1/resolv.conf" /etc/resolv.conf && mount --bind "$1/hosts" /etc/hosts'

/** Why there can be no such namespace on this machine; null when there can. In CI there has to be one. */
export function whyNoNameSpace(): string | null {
  try {
    inNameSpace('ip link set lo up && mount --bind /etc/hosts /etc/hosts')
    return null
  } catch (cause) {
    if (process.env.CI === 'true') throw new Error('CI has to let tests make namespaces', { cause })
    return 'this machine makes no network namespace (unshare -m -n)'
  }
}

function inNameSpace(script: string): void {
  const [command = '', ...args] = [...ENTER, script]
  execFileSync(command, args, { stdio: 'pipe' })
}

/** What the program printed. @throws Error with what it said when it fails */
export async function runInNameSpace(
  program: URL,
  { resolvConf, hosts }: NameSpaceOptions,
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-namespace-'))
  try {
    await writeFile(join(dir, 'resolv.conf'), resolvConf)
    await writeFile(join(dir, 'hosts'), hosts)
    const script = `${SET_UP} && exec "$2" "$3"`
    const [command = '', ...args] = [...ENTER, script, 'sh']
    const { stdout } = await promisify(execFile)(
      command,
      [...args, dir, process.execPath, program.pathname],
      { timeout: 120_000 },
    )
    return stdout
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
