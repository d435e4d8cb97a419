/** A small Debian with systemd, made once by debootstrap and kept outside of the checkout. Nothing writes to it afterwards. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const SUITE = 'bookworm'
/** Beside what minbase has; libstdc++6 for Node. */
const PACKAGES = ['systemd', 'systemd-sysv', 'libstdc++6', 'nftables'] as const
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'clawmesh')

const run = promisify(execFile)

/** Resolves with its directory. Takes half a minute the first time. @throws Error with the words of debootstrap */
export async function debianTree(): Promise<string> {
  const key = createHash('sha256')
    .update([SUITE, ...PACKAGES].join(' '))
    .digest('hex')
    .slice(0, 12)
  const place = join(CACHE, `debian-${SUITE}-${key}`)
  if (existsSync(place)) return place
  await mkdir(CACHE, { recursive: true })
  const draft = await mkdtemp(join(CACHE, 'draft-'))
  try {
    const include = `--include=${PACKAGES.join(',')}`
    const tree = join(draft, 'tree')
    await run('debootstrap', ['--variant=minbase', include, SUITE, tree, await mirror()], {
      maxBuffer: 1 << 26,
    })
    // of several that make it at once one is first
    await rename(tree, place).catch((error: unknown) => {
      if (!existsSync(place)) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return place
}

/** Where this machine gets its packages from. */
async function mirror(): Promise<string> {
  const format = ['--format', '$(REPO_URI)', 'Created-By: Packages']
  const { stdout } = await run('apt-get', ['indextargets', ...format])
  const [first] = stdout.split('\n').filter((uri) => !uri.includes('security'))
  return first === undefined || first === '' ? 'http://deb.debian.org/debian' : first
}
