/** What chains of delegation cost: the same call as one that starts a task, so that a token is signed, and verified. */
import { GATEWAY } from '../contestants/contestant.ts'
import type { CallKind, GrpcLoadQuestion } from '../load/grpc-load.ts'
import type { BenchOptions } from '../options.ts'
import { ask } from '../process/commands.ts'
import { agentId, CALLER, TRUST_DOMAIN } from '../world/world.ts'
import { asContestant, CONCURRENCY, CONNECTIONS, runOnce, startOurs, windowOf } from './arena.ts'
import { cpuMicrosecondsPer, failures, mintedAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { beyond, inRounds, metric, type SuiteResult } from './suite.ts'

/** Calls of each kind, and how the report names them. */
const KINDS = {
  unary: 'another method',
  task: 'begins a chain',
  'subtask-same-token': 'extends one, token seen before',
  'subtask-new-token': 'extends one, token never seen',
} as const satisfies Partial<Record<CallKind, string>>
/** More than are used in a window; those that lack are made as they go. */
const TOKENS = { quick: 400, full: 4000 }

export async function runChains(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { world, note, quick } = context
  note('chains: starting')
  const stage = await context.stage()
  const gateway = await startOurs(world, stage)
  const ours = asContestant(gateway)
  await stage.connect(ours, CONNECTIONS)
  const question: GrpcLoadQuestion = {
    do: 'mint',
    count: quick ? TOKENS.quick : TOKENS.full,
    keysDir: gateway.keysDir,
    issuer: `https://gateway.${TRUST_DOMAIN}`,
    root: agentId('editor'),
    holder: agentId(CALLER),
  }
  const measure = async (kind: CallKind, warmMs: number) => {
    if (kind.startsWith('subtask')) await ask(stage.load, question, mintedAnswer)
    const call = { ...windowOf(options), concurrency: CONCURRENCY, perSecond: null, warmMs }
    return runOnce(stage.load, GATEWAY, ours.pids(), { ...call, kind })
  }
  const kinds: readonly CallKind[] = ['unary', 'task', 'subtask-same-token', 'subtask-new-token']
  note('chains: warming up')
  for (const kind of kinds) await measure(kind, options.firstWarmMs / 3)
  note(`chains: calls that start a task, ${CONCURRENCY} at once`)
  const windows = await inRounds(options.rounds, Object.keys(KINDS), (name) => {
    const kind = kinds.find((one) => one === name) ?? 'unary'
    return measure(kind, options.warmMs)
  })
  await ours.stop()

  const named = Object.fromEntries(
    Object.entries(KINDS).map(([kind, name]) => [name, windows[kind] ?? []]),
  )
  const cpu = cpuMicrosecondsPer(named)
  return {
    title: 'Chains of delegation',
    how: `Our gateway alone, unary calls of 64 bytes, ${CONCURRENCY} at once over ${CONNECTIONS} connections: one that starts no task (\`bench.Echo/Call\`); one that does (\`DelegationService/Delegate\`) and for which a token is signed; and one with the token of a task of its own, which is verified, extended and signed, in a tree of its own. Below, what the second and later kinds cost more than the first of the same round. ${world.cores.note}.`,
    metrics: [
      metric('CPU per call', 'µs', cpu),
      metric('CPU beyond that of another method', 'µs', beyond(cpu, KINDS.unary)),
    ],
    remarks: failures('calls', named),
  }
}
