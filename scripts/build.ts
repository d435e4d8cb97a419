/**
 * Makes what is published: dist/<package>/ with JavaScript and declarations, the .proto files, the licence, and a
 * package.json whose exports and bin point at what was built; and dist/openclaw-plugin/, whose code is one file.
 * `npm run build`; `--out DIR` writes to another directory.
 */
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { readArguments } from './dev/read-arguments.ts'

const PACKAGES = ['proto', 'agent-sdk', 'pki', 'mesh-gateway', 'mesh-agent'] as const
/** What of a package is not TypeScript and belongs to it all the same. */
const EXTRAS: Readonly<Record<string, readonly string[]>> = {
  proto: ['clawmesh', 'google', 'grpc', 'need-node.cjs'],
}

interface Manifest {
  readonly exports: Readonly<Record<string, string>>
  readonly bin?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL('..', import.meta.url))
const given = readArguments(
  'usage: npm run build -- [--out DIR]      what is published; default: dist\n',
  { options: { out: { type: 'string', default: join(root, 'dist') } } },
)
if (given !== null) await build(resolve(given.values.out))

async function build(dist: string): Promise<void> {
  await rm(dist, { recursive: true, force: true })
  await compile(dist)
  for (const name of PACKAGES) await publishable(dist, name)
  await buildPlugin(join(dist, 'openclaw-plugin'))
  process.stderr.write(`build: wrote ${PACKAGES.join(', ')}, openclaw-plugin to ${dist}\n`)
}

async function compile(dist: string): Promise<void> {
  await tsc(dist, 'tsconfig.build.json')
  // the modules that a browser loads
  await tsc(dist, 'tsconfig.console.json', '--noEmit', 'false', '--rootDir', root)
}

async function tsc(dist: string, project: string, ...options: readonly string[]): Promise<void> {
  const program = join(root, 'node_modules/typescript/bin/tsc')
  const args = [program, '-p', join(root, project), '--outDir', dist, ...options]
  await promisify(execFile)(process.execPath, args, { cwd: root }).catch((error: unknown) => {
    const output =
      error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
    process.stderr.write(output)
    throw new Error('build: the sources do not compile')
  })
}

async function publishable(dist: string, name: string): Promise<void> {
  const to = join(dist, name)
  await mkdir(to, { recursive: true })
  for (const extra of EXTRAS[name] ?? [])
    await cp(join(root, name, extra), join(to, extra), { recursive: true })
  await cp(join(root, 'LICENSE'), join(to, 'LICENSE'))
  const manifest: Manifest = JSON.parse(await readFile(join(root, name, 'package.json'), 'utf8'))
  const { exports, bin, ...rest } = manifest
  const built = {
    ...rest,
    files: ['src', ...(bin === undefined ? [] : ['bin']), ...(EXTRAS[name] ?? []), 'LICENSE'],
    exports: mapValues(exports, (source) =>
      source.endsWith('.ts')
        ? { types: source.replace(/ts$/, 'd.ts'), default: source.replace(/ts$/, 'js') }
        : source,
    ),
    ...(bin === undefined ? {} : { bin }),
  }
  await writeFile(join(to, 'package.json'), `${JSON.stringify(built, null, 2)}\n`)
  for (const file of Object.values(bin ?? {}))
    await publishCommand(join(root, name, file), join(to, file))
}

/** What it runs when Node is new enough is JavaScript there. */
async function publishCommand(from: string, to: string): Promise<void> {
  const text = await readFile(from, 'utf8')
  await mkdir(dirname(to), { recursive: true })
  await writeFile(to, text.replace("/main.ts'", "/main.js'"))
  await chmod(to, 0o755)
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
