/** `mesh-gateway trees --live`: the trees of a running gateway, and those that run in it now. */
import { printableJson } from '@clawmesh/proto'
import { z } from 'zod'
import { type Terminal, table } from '../process/terminal.ts'
import { countsOf, drawTree, seconds, type TreeFacts } from '../trees/draw-tree.ts'
import { type AdminPlace, adminUrls, askAdmin, SILENT, silenceNote } from './ask-admin.ts'
import type { CommandOutput } from './explanation.ts'
import { drawLive, type LiveOptions } from './live-screen.ts'

const STATES = ['running', 'ended', 'canceled', 'refused', 'cut', 'unknown'] as const
const count = z.number()
const tree = z.object({
  root_id: z.string(),
  origin: z.string().nullable(),
  began: z.string(),
  ended: z.string(),
  duration_ms: count,
  delegations: count,
  states: z.object(Object.fromEntries(STATES.map((state) => [state, count.optional()]))),
  left_out: count,
})
const node = z.object({
  delegation_id: z.string(),
  parent_id: z.string().nullable(),
  parent_lost: z.boolean(),
  depth: z.int().min(0).max(64),
  caller: z.string(),
  callee: z.string(),
  state: z.enum(STATES),
  code: z.string().nullable(),
  began: z.string(),
  ended: z.string(),
  duration_ms: count,
  times: count,
})
const TREES = z.object({ trees: z.array(tree), older: z.boolean(), ...SILENT })
const TREE = z.object({ ...tree.shape, nodes: z.array(node), ...SILENT })

export interface LiveTreesOptions extends AdminPlace, LiveOptions {
  readonly last: number
  readonly json?: true
}

/** @param root null: all of them */
export async function showLive(
  root: string | null,
  options: LiveTreesOptions,
  terminal: Pick<Terminal, 'env' | 'cwd' | 'screen'>,
  output: CommandOutput,
): Promise<void> {
  const [url = ''] = await adminUrls(options, terminal)
  if (options.json === true) {
    const path = root === null ? `trees?last=${options.last}` : `trees/${root}`
    const shape: z.ZodType<object> = root === null ? TREES : TREE
    return output.result(`${printableJson(await askAdmin(url, path, shape))}\n`)
  }
  const draw = () => (root === null ? drawAll(url, options.last) : drawOne(url, root))
  await drawLive(draw, options, terminal, output)
}

async function drawOne(url: string, root: string): Promise<string> {
  const { nodes, ...facts } = await askAdmin(url, `trees/${root}`, TREE)
  return [...silenceNote(facts), drawTree(facts, nodes)].join('\n')
}

/** Those that run are drawn, the others listed. */
async function drawAll(url: string, last: number): Promise<string> {
  const { trees, ...silent } = await askAdmin(url, `trees?last=${last}`, TREES)
  const running = trees.filter(({ states }) => states.running !== undefined).slice(0, MOST_DRAWN)
  const drawn = await Promise.all(running.map(({ root_id: root }) => drawOne(url, root)))
  const rest = trees.filter((one) => !running.includes(one))
  const listed = rest.length === 0 ? [] : [tableOfTrees(rest)]
  const all = trees.length === 0 ? ['no delegation is remembered'] : [...drawn, ...listed]
  return [...silenceNote(silent), ...all].join('\n')
}

const MOST_DRAWN = 5

export function tableOfTrees(trees: readonly TreeFacts[]): string {
  return table(
    ['ROOT', 'BEGAN', 'BY', 'LASTED', 'DELEGATIONS'],
    trees.map((one) => [
      ...[one.root_id, one.began, one.origin ?? '?'],
      ...[seconds(one.duration_ms), countsOf(one)],
    ]),
  )
}
