/**
 * A program of tools.ts: built into a cache outside of the repository, and not again until its module, its row of the
 * table or a main of ours changes. Two that build it at once share one build.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type GoTool, TOOLS } from './tools.ts'

const MODULE = fileURLToPath(new URL('.', import.meta.url))
/** The build is made beside the others and renamed, so that a program is there whole or not at all. */
const BUILD =
  'test -x "$1" || { go build -trimpath -buildvcs=false -ldflags "-s -w $2" -o "$1.$$" "$3" && mv "$1.$$" "$1"; }'

/** The path of the program, which is built already. @throws Error when it is not */
export function goTool(name: string): string {
  const path = pathOf(name, toolOf(name))
  if (!existsSync(path)) throw new Error(`${name} is not built: name it in goTools of its part`)
  return path
}

/**
 * Builds what is not built yet. Apart from the tests, which have a clock: on a machine that has none of it, those of a
 * cluster take a quarter of an hour of two cores.
 * @throws Error when one cannot be built; go has said why on stderr
 */
export async function buildGoTools(
  names: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  for (const name of names) {
    const path = pathOf(name, toolOf(name))
    if (existsSync(path)) continue
    const began = performance.now()
    await build(name, path)
    say(`${name} is built: ${((performance.now() - began) / 1000).toFixed(0)} s`)
  }
}

async function build(name: string, path: string): Promise<void> {
  const tool = toolOf(name)
  mkdirSync(dirname(path), { recursive: true })
  const build = spawn(
    'flock',
    [`${path}.lock`, 'sh', '-c', BUILD, 'sh', path, ldflags(tool), tool.package],
    {
      ...{ cwd: join(MODULE, tool.module ?? ''), stdio: ['ignore', 'ignore', 'inherit'] },
      // pure Go: such a program runs in any root file system
      env: { ...process.env, CGO_ENABLED: '0', PATH: `${process.env.PATH}:/usr/local/go/bin` },
    },
  )
  const [code] = await once(build, 'exit')
  if (code !== 0) throw new Error(`go could not build ${name}, ${tool.package}`)
}

function toolOf(name: string): GoTool {
  const tool = TOOLS[name]
  if (tool === undefined) throw new TypeError(`there is no tool ${name}`)
  return tool
}

function ldflags({ set }: GoTool): string {
  return Object.entries(set)
    .map(([name, value]) => `-X ${name}=${value}`)
    .join(' ')
}

function pathOf(name: string, tool: GoTool): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const module = join(MODULE, tool.module ?? '')
  const own = tool.package.startsWith('.') ? globSync(`${tool.package}/*.go`, { cwd: module }) : []
  const hash = createHash('sha256').update(JSON.stringify(tool))
  for (const file of ['go.mod', 'go.sum', ...own.sort()])
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(module, file)))
  return join(cache, 'clawmesh', 'go-tools', `${name}-${hash.digest('hex').slice(0, 16)}`)
}
