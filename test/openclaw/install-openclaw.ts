/**
 * Installs the pinned OpenClaw (650 MiB) outside of the checkout, once for each content of the lock file beside this file.
 * It needs the npm registry, and nothing else of the network.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const HERE = fileURLToPath(new URL('.', import.meta.url))

export interface InstalledOpenClaw {
  /** The directory that `node_modules` is in. */
  readonly dir: string
  /** What node runs. */
  readonly command: string
}

/** `CLAWMESH_OPENCLAW_CACHE` names another directory than ~/.cache/clawmesh. */
export async function installOpenClaw(): Promise<InstalledOpenClaw> {
  const lock = await readFile(join(HERE, 'package-lock.json'))
  const id = createHash('sha256').update(lock).digest('hex').slice(0, 12)
  const cache = process.env.CLAWMESH_OPENCLAW_CACHE ?? join(homedir(), '.cache', 'clawmesh')
  const dir = join(cache, `openclaw-${id}`)
  const installed = { dir, command: join(dir, 'node_modules/openclaw/openclaw.mjs') }
  if (await isThere(installed.command)) return installed
  const made = `${dir}.${process.pid}`
  await mkdir(made, { recursive: true })
  try {
    for (const name of ['package.json', 'package-lock.json'])
      await copyFile(join(HERE, name), join(made, name))
    await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: made,
      maxBuffer: 64 * 1024 * 1024,
    })
    // in one step: an installation that was interrupted is never taken for a whole one
    await rename(made, dir).catch(async (error: unknown) => {
      if (!(await isThere(installed.command))) throw error
    })
  } finally {
    await rm(made, { recursive: true, force: true })
  }
  return installed
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
