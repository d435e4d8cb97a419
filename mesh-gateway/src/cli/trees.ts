/** `mesh-gateway trees`: draws trees of delegations from audit logs. */
import { isUuidV7, MeshError, printableJson } from '@clawmesh/proto'
import { Command, InvalidArgumentError } from 'commander'
import { readConfig } from '../config/live-config.ts'
import { REQUIRED } from '../config/settings.ts'
import type { Terminal } from '../process/terminal.ts'
import { auditLines, STDIN, withRotated } from '../recorded/audit-lines.ts'
import { type AgentOf, agentNames } from '../recorded/recorded-case.ts'
import { plural } from '../text/plural.ts'
import { drawTree, factsOfDelegations, factsOfTree } from '../trees/draw-tree.ts'
import { type GatheredTree, gatherTrees, type TreeGathering } from '../trees/gather-trees.ts'
import { mayTellOf, readTreeRecord } from '../trees/tree-record.ts'
import type { AdminPlace } from './ask-admin.ts'
import type { CommandOutput } from './explanation.ts'
import { type LiveOptions, parseSeconds } from './live-screen.ts'
import { showLive, tableOfTrees } from './live-trees.ts'
import { parseCount } from './recording.ts'

interface Options extends AdminPlace, LiveOptions {
  readonly audit?: readonly string[]
  readonly live?: true
  readonly last: number
  readonly spiffeAgentPath?: string
  readonly json?: true
}

const EXAMPLES = `
Examples:
  $ mesh-gateway trees --config gateway.json       the youngest, one a line
  $ mesh-gateway trees 0199… --config gateway.json  one of them, drawn
  $ mesh-gateway trees --audit gw-1/audit.log* gw-2/audit.log*
  $ kubectl logs gateway-0 | mesh-gateway trees --audit -
  $ mesh-gateway trees --live                       what runs now, drawn again
                                                    and again on a terminal

ROOT is root_id of an audit record, or the id of any delegation in the tree.
Without --audit it reads audit.file of the configuration, and what logrotate
has left beside it.`

export function treesCommand(
  output: CommandOutput,
  terminal: Pick<Terminal, 'env' | 'cwd' | 'screen'>,
): Command {
  return new Command('trees')
    .description('draw who delegated what to whom, from an audit log')
    .argument('[root]', 'of one tree', parseId)
    .option('--audit <files...>', 'audit logs, .gz too, in any order; - is the standard input')
    .option('--config <file>', 'or the configuration file that names it (MESH_CONFIG)')
    .option('--live', 'ask a running gateway, at its admin port')
    .option('--admin <url>', 'that admin port', (url) => [url])
    .option('--every <seconds>', 'with --live: how often it is asked', parseSeconds, 2)
    .option('--once', 'with --live: once')
    .option('--last <number>', 'how many trees are listed', parseCount, 20)
    .option('--spiffe-agent-path <path>', 'template of SPIFFE IDs of agents, as configured')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (root: string | undefined, options: Options) => {
      if (options.live) return showLive(root ?? null, options, terminal, output)
      const files = options.audit ?? (await configuredFiles(options, terminal))
      const agentOf = agentNames(options.spiffeAgentPath)
      if (root === undefined) await list(files, options, agentOf, output)
      else await draw(files, root, options, agentOf, output)
    })
}

async function list(
  files: readonly string[],
  { last, json }: Options,
  agentOf: AgentOf,
  output: CommandOutput,
): Promise<void> {
  const gathering = gatherTrees(last)
  await gather(files, null, gathering, output)
  const trees = gathering.trees().map((tree) => factsOfTree(tree, agentOf))
  if (json) output.result(`${printableJson({ trees, older: gathering.older() })}\n`)
  else if (trees.length > 0) output.result(`${tableOfTrees(trees)}\n`)
  else output.note('no delegation is recorded')
  if (gathering.older()) output.note(`there are older ones; --last ${last * 10} lists more`)
}

/** @throws MeshError MESH_AUDIT_UNREADABLE when the logs contain nothing about it */
async function draw(
  files: readonly string[],
  root: string,
  { json }: Options,
  agentOf: AgentOf,
  output: CommandOutput,
): Promise<void> {
  const tree = await find(files, root, output)
  if (tree === null)
    throw new MeshError('MESH_AUDIT_UNREADABLE', `no call of the tree ${root} is recorded there`, {
      hint: 'run mesh-gateway trees without an id to see which there are; name older files with --audit',
    })
  if (json)
    output.result(
      `${printableJson({ ...factsOfTree(tree, agentOf), nodes: factsOfDelegations(tree, agentOf) })}\n`,
    )
  else output.result(drawTree(factsOfTree(tree, agentOf), factsOfDelegations(tree, agentOf)))
}

async function find(
  files: readonly string[],
  id: string,
  output: CommandOutput,
): Promise<GatheredTree | null> {
  // the id of a delegation occurs in its own records and in those of its children: all are of one tree
  const gathering = gatherTrees(1)
  await gather(files, id, gathering, output)
  const [tree] = gathering.trees()
  if (tree === undefined || tree.rootId === id) return tree ?? null
  if (files.includes(STDIN))
    throw new MeshError(
      'MESH_AUDIT_UNREADABLE',
      `${id} is a delegation of the tree ${tree.rootId}`,
      {
        hint: `name the tree: the standard input can be read once; mesh-gateway trees ${tree.rootId} --audit -`,
      },
    )
  const whole = gatherTrees(1)
  await gather(files, tree.rootId, whole, { ...output, note: () => {} })
  return whole.trees()[0] ?? null
}

async function gather(
  files: readonly string[],
  id: string | null,
  gathering: TreeGathering,
  output: Pick<CommandOutput, 'note'>,
): Promise<void> {
  for (const file of files) {
    let foreign = 0
    for await (const { text } of auditLines(file)) {
      if (text === null || !mayTellOf(text, id)) continue
      const record = readTreeRecord(text)
      if (record === 'foreign') foreign += 1
      else if (record !== null && isOf(record, id)) gathering.add(record)
    }
    if (foreign > 0)
      output.note(`${plural(foreign, 'line')} of ${file} cannot be read, passed over`)
  }
}

function isOf(
  record: {
    readonly rootId: string
    readonly delegationId: string
    readonly parentId: string | null
  },
  id: string | null,
): boolean {
  return id === null || [record.rootId, record.delegationId, record.parentId].includes(id)
}

/** @throws MeshError MESH_CONFIG_INVALID, MESH_AUDIT_UNREADABLE */
async function configuredFiles(
  options: Options,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): Promise<string[]> {
  const { config } = await readConfig({
    path: options.config ?? (env.MESH_CONFIG || null),
    ...{ env, cwd, flags: {}, optional: REQUIRED },
  })
  if (config.audit.file !== 'stdout') return await withRotated(config.audit.file)
  throw new MeshError('MESH_AUDIT_UNREADABLE', 'the audit log goes to stdout', {
    hint: 'name a file with --audit FILE, or pass lines on with --audit -',
  })
}

function parseId(text: string): string {
  if (!isUuidV7(text)) throw new InvalidArgumentError('write root_id of an audit record')
  return text
}
