/**
 * The command mesh-gateway as few files, made of the sources as they are now: two thirds of what a process takes until it is
 * ready is finding and linking nine hundred files (docs/decisions/tests-start-a-bundle.md).
 */
import { createHash } from 'node:crypto'
import { existsSync, globSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SOURCES = join(ROOT, 'mesh-gateway/src')
const CACHE = join(ROOT, 'node_modules/.cache/clawmesh')
/** What the command runs as processes and threads of its own finds its file beside that of who starts it. */
const ENTRIES = {
  main: 'cli/main.ts',
  'worker-main': 'workers/worker-main.ts',
  'parse-worker': 'policy/read/parse-worker.ts',
  'token-process': '../../proto/src/pkcs11/token-process.ts',
}
const NEXT_TO_IT = /\/(?:supervisor|document-parser|token-once)\.ts$/
/**
 * It collects for a third of a second, so that an idle gateway is 20 MB smaller: of what is published
 * (what-is-published-works-without-the-checkout.test.ts), not of a process that a test ends soon.
 */
const STAYS_UNTIDY = 'export const releaseStartupMemory = () => {}, openCollector = () => () => {}'
const TIDIES_UP = /\/process\/release-memory\.ts$/
const REQUIRE = `import { createRequire as requireFrom } from 'node:module'
const require = requireFrom(import.meta.url)`
/** Bundles of sources of before that are kept: other checkouts and runs may be using them. */
const KEPT = 3

/**
 * The file that node runs. The sources themselves where coverage is taken, or where CLAWMESH_SOURCES is set: a runner of
 * mutants changes one file after another.
 */
export async function gatewayCommand(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (env.NODE_V8_COVERAGE || env.CLAWMESH_SOURCES) return join(SOURCES, ENTRIES.main)
  // sources stay as they are while tests run
  env.CLAWMESH_GATEWAY_COMMAND ??= await newestCommand()
  return env.CLAWMESH_GATEWAY_COMMAND
}

async function newestCommand(): Promise<string> {
  const place = join(CACHE, `gateway-${stateOfSources()}`)
  if (!existsSync(place)) await make(place)
  return join(place, 'main.mjs')
}

/** Changes with every file. */
function stateOfSources(): string {
  const hash = createHash('sha256').update(ROOT)
  for (const file of [
    ...['package-lock.json', relative(ROOT, import.meta.filename)],
    ...globSync('{proto,agent-sdk,mesh-gateway}/{src/**/*.ts,package.json}', { cwd: ROOT }).sort(),
  ]) {
    const { size, mtimeMs } = statSync(join(ROOT, file))
    hash.update(`${file} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 16)
}

async function make(place: string): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  const draft = await mkdtemp(join(CACHE, 'draft-'))
  try {
    await build({
      absWorkingDir: ROOT,
      entryPoints: Object.entries(ENTRIES).map(([out, file]) => ({ in: join(SOURCES, file), out })),
      ...{ outdir: draft, outExtension: { '.js': '.mjs' }, bundle: true, splitting: true },
      ...{ platform: 'node', format: 'esm', target: 'node24', logLevel: 'error' },
      banner: { js: REQUIRE },
      plugins: [whereFilesAre()],
    })
    // of several that make it at once one is first
    await rename(draft, place).catch((error: unknown) => {
      if (!existsSync(place)) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  await forgetOldest(place)
}

/** A source that asks where it is gets the place of its file, as without a bundle. */
function whereFilesAre(): Plugin {
  return {
    name: 'where files are',
    setup({ onLoad }) {
      onLoad({ filter: /\.(?:[cm]?js|ts)$/ }, async ({ path }) => {
        if (TIDIES_UP.test(path)) return { contents: STAYS_UNTIDY }
        const text = await readFile(path, 'utf8')
        const loader = path.endsWith('.ts') ? 'ts' : 'js'
        if (NEXT_TO_IT.test(path)) return { contents: text, loader }
        const url = JSON.stringify(pathToFileURL(path).href)
        const contents = text.replaceAll('import.meta.url', url)
        if (!/\b__(?:dirname|filename)\b/.test(contents)) return { contents, loader }
        const names = `var __filename = ${JSON.stringify(path)}, __dirname = ${JSON.stringify(join(path, '..'))};`
        return { contents: names + contents, loader }
      })
    },
  }
}

async function forgetOldest(latest: string): Promise<void> {
  const names = (await readdir(CACHE)).filter((name) => name.startsWith('gateway-'))
  const all = await Promise.all(
    names.map(async (name) => {
      const path = join(CACHE, name)
      return { path, atMs: (await stat(path).catch(() => null))?.mtimeMs ?? 0 }
    }),
  )
  const old = all.filter(({ path }) => path !== latest).toSorted((a, b) => b.atMs - a.atMs)
  for (const { path } of old.slice(KEPT)) await rm(path, { recursive: true, force: true })
}
