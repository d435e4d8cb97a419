/** What is published, built and packed as for the registry, and installed where the checkout is not. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { unpack } from './unpack.ts'

/** Package directories to what they are installed as. */
export const PUBLISHED = {
  proto: 'proto',
  'agent-sdk': 'agent-sdk',
  pki: 'pki',
  'mesh-gateway': 'gateway',
  'mesh-agent': 'agent',
} as const

const root = fileURLToPath(new URL('../../', import.meta.url))
// tsc and npm would leave a cache of compiled code in the directory for temporary files
const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' }
const run = (command: string, args: readonly string[], cwd: string) =>
  promisify(execFile)(command, args, { cwd, env })

/**
 * As npm would, but for dependencies: those are linked to the checkout's, since nothing here reaches a registry.
 * Takes some ten seconds.
 * @param dir exists; the build and the packages stay there
 * @returns the directory that `node_modules` is in
 */
export async function installPublished(dir: string): Promise<string> {
  const installed = join(dir, 'app')
  const dist = join(dir, 'dist')
  await run(process.execPath, [join(root, 'scripts/build.ts'), '--out', dist], root)
  const specs = Object.keys(PUBLISHED).map((name) => join(dist, name))
  await run('npm', ['pack', '--silent', '--pack-destination', dir, ...specs], dist)
  const modules = join(installed, 'node_modules')
  await mkdir(join(modules, '@clawmesh'), { recursive: true })
  for (const name of await readdir(join(root, 'node_modules')))
    if (name !== '@clawmesh' && !name.startsWith('.'))
      await symlink(join(root, 'node_modules', name), join(modules, name))
  for (const name of Object.values(PUBLISHED)) {
    const to = join(modules, '@clawmesh', name)
    await mkdir(to)
    const tarball = join(dir, `clawmesh-${name}-0.1.0.tgz`)
    await unpack(tarball, to)
  }
  await writeFile(join(installed, 'package.json'), '{"type":"module"}')
  return installed
}
