/**
 * What the image has of ours: the published packages, as `npm pack` makes them, and their dependencies in the versions
 * of package-lock.json, without those of development.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { PUBLISHED } from '../../scripts/dev/install-published.ts'
import { unpack } from '../../scripts/dev/unpack.ts'
import type { Entry } from './tar.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Where it is in the image. */
const APP = 'app'
/** By these paths a command is run: `node /app/mesh-agent …`. */
const COMMANDS = { gateway: 'mesh-gateway', agent: 'mesh-agent', pki: 'mesh-pki' } as const
const WORKSPACES = Object.keys(PUBLISHED).flatMap((name) => ['-w', name])

export interface App {
  readonly entries: readonly Entry[]
  /** What is in it, as CycloneDX says it. */
  readonly sbom: unknown
}

/** @param scratch exists, and is needed as long as the entries are */
export async function appFiles(scratch: string): Promise<App> {
  const [packages, staging] = [join(scratch, 'packages'), join(scratch, 'staging')]
  await Promise.all([unpackPublished(scratch, packages), installDependencies(staging)])
  const { stdout } = await npm(['sbom', '--sbom-format', 'cyclonedx'], staging)
  return {
    entries: [
      ...(await tree(join(staging, 'node_modules'), `${APP}/node_modules`)),
      ...(await Promise.all(
        Object.entries(PUBLISHED).map(([workspace, name]) =>
          packageFiles(workspace, name, scratch),
        ),
      ).then((found) => found.flat())),
      ...Object.entries(COMMANDS).map(
        ([name, command]): Entry => ({
          kind: 'link',
          path: `${APP}/${command}`,
          target: `node_modules/@clawmesh/${name}/bin/${command}.cjs`,
        }),
      ),
    ],
    sbom: JSON.parse(stdout),
  }
}

async function packageFiles(workspace: string, name: string, scratch: string): Promise<Entry[]> {
  const to = `${APP}/node_modules/@clawmesh/${name}`
  return [
    ...(await tree(join(scratch, 'packages', name), to)),
    // in another version than what the others use
    ...(await tree(join(scratch, 'staging', workspace, 'node_modules'), `${to}/node_modules`)),
  ]
}

async function unpackPublished(scratch: string, packages: string): Promise<void> {
  const [dist, packed] = [join(scratch, 'dist'), join(scratch, 'packed')]
  await mkdir(packed)
  await run(process.execPath, [join(ROOT, 'scripts/build.ts'), '--out', dist], ROOT)
  const specs = Object.keys(PUBLISHED).map((name) => join(dist, name))
  await npm(['pack', '--pack-destination', packed, ...specs], dist)
  for (const tarball of await readdir(packed)) {
    const name = Object.values(PUBLISHED).find((each) => tarball.startsWith(`clawmesh-${each}-0`))
    if (name === undefined) throw new Error(`npm pack made ${tarball}, which no package is`)
    await mkdir(join(packages, name), { recursive: true })
    await unpack(join(packed, tarball), join(packages, name))
  }
}

async function installDependencies(staging: string): Promise<void> {
  const text = await readFile(join(ROOT, 'package.json'), 'utf8')
  const { devDependencies: _, ...root } = JSON.parse(text)
  const manifests = root.workspaces.map((name: string) => `${name}/package.json`)
  for (const name of ['package.json', 'package-lock.json', '.npmrc', ...manifests]) {
    await mkdir(dirname(join(staging, name)), { recursive: true })
    await cp(join(ROOT, name), join(staging, name))
  }
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  await npm(['ci', '--omit=dev', ...quiet, ...WORKSPACES], staging)
  // what is not installed is not missing
  const installed = { ...root, workspaces: Object.keys(PUBLISHED) }
  await writeFile(join(staging, 'package.json'), JSON.stringify(installed))
}

/** What npm notes for itself, commands of dependencies, sources in TypeScript, source maps and texts: no program reads them. */
const UNREAD =
  /\/(?:\.bin|\.package-lock\.json|@types)$|\.(?:[cm]?ts|map|markdown)$|(?<!\/LICEN[CS]E)\.md$/

/** Links are left out: they lead to the workspaces. */
async function tree(dir: string, to: string): Promise<Entry[]> {
  const found: Entry[] = []
  const names = await readdir(dir, { withFileTypes: true }).catch(() => [])
  for (const entry of names) {
    const [from, path] = [join(dir, entry.name), `${to}/${entry.name}`]
    if (UNREAD.test(path)) continue
    if (entry.isDirectory()) found.push(...(await tree(from, path)))
    if (!entry.isFile()) continue
    const { mode } = await stat(from)
    // whatever the umask was
    found.push({ kind: 'file', path, mode: mode & 0o100 ? 0o755 : 0o644, content: { file: from } })
  }
  return found
}

function npm(args: readonly string[], cwd: string) {
  return run('npm', [...args, '--silent'], cwd)
}

async function run(command: string, args: readonly string[], cwd: string) {
  try {
    const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' }
    return await promisify(execFile)(command, args, { cwd, env, maxBuffer: 64 * 1024 * 1024 })
  } catch (cause) {
    throw new Error(`${command} ${args.slice(0, 2).join(' ')} failed`, { cause })
  }
}
