/** How long after a revocation the last of many streams is cut. */
import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { GATEWAY } from '../contestants/contestant.ts'
import type { RunningGateway } from '../contestants/gateway.ts'
import type { GrpcLoadQuestion } from '../load/grpc-load.ts'
import { type CutTimes, cutsInAudit, cutTimes } from '../measure/cut-times.ts'
import { quantile } from '../measure/statistics.ts'
import type { BenchOptions } from '../options.ts'
import { ask } from '../process/commands.ts'
import { show } from '../report/rows.ts'
import { agentId, CALLER } from '../world/world.ts'
import { asContestant, CONNECTIONS, runOnce, startOurs } from './arena.ts'
import { endingsAnswer, heldAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import type { Stage } from './stage.ts'
import { type Metric, metric, type SuiteResult } from './suite.ts'

const STREAMS = 1000
const QUICK_STREAMS = 100
const REASON = 'MESH_IDENTITY_REVOKED'
/** UNAUTHENTICATED of gRPC. */
const STATUS = 16
const LIMIT_MS = 1000
const PATIENCE_MS = 15_000

type Views = Readonly<Record<'gateway' | 'callers', readonly CutTimes[]>>

export async function runCuts(context: BenchContext, options: BenchOptions): Promise<SuiteResult> {
  const { world, note, quick } = context
  const streams = quick ? QUICK_STREAMS : STREAMS
  note('cuts: starting')
  const stage = await context.stage()
  const gateway = await startOurs(world, stage)
  const views = { gateway: [] as CutTimes[], callers: [] as CutTimes[] }
  let untyped = 0
  for (let round = 0; round < options.rounds; round++) {
    if (round > 0) await letIn(stage, gateway)
    await stage.connect(asContestant(gateway), CONNECTIONS)
    note(`cuts: ${streams} streams, round ${round + 1}`)
    const held: GrpcLoadQuestion = { do: 'hold', target: GATEWAY, count: streams }
    await ask(stage.load, held, heldAnswer)
    const seen = (await stat(gateway.auditFile)).size
    const revokedMs = await writeList(gateway, [agentId(CALLER)])
    const question: GrpcLoadQuestion = { do: 'endings', target: GATEWAY }
    const { endings } = await ask(stage.load, question, endingsAnswer)
    untyped += endings.filter(({ status }) => status !== STATUS).length
    views.callers.push(
      cutTimes(
        endings.map(({ atMs }) => atMs),
        revokedMs,
      ),
    )
    views.gateway.push(cutTimes(await audited(gateway, seen, streams), revokedMs))
    await stage.disconnect(GATEWAY)
  }
  await gateway.process.stop()
  return {
    title: 'Cuts',
    how: `${streams} streams of one agent are open over ${CONNECTIONS} connections when the agent is written into the gateway's revocation list, as \`mesh-gateway revoke\` writes it; from then until they end, by the times in the gateway's audit log and by when the one process that has all of them sees it. ${world.cores.note}.`,
    metrics: metricsOf(views),
    remarks: [
      ...lastOf(views),
      ...(untyped === 0
        ? []
        : [`streams: ${untyped} ended otherwise than UNAUTHENTICATED; failed through ${GATEWAY}`]),
    ],
  }
}

function metricsOf({ gateway, callers }: Views): Metric[] {
  const cut = (
    name: string,
    times: readonly CutTimes[],
    of: keyof CutTimes,
    limit: number | null,
  ) => metric(name, 'ms', { [GATEWAY]: times.map((one) => one[of]) }, { limit })
  return [
    cut('half are cut, by the audit log', gateway, 'halfMs', null),
    cut('99 of 100 are cut, by the audit log', gateway, 'p99Ms', LIMIT_MS),
    cut('the last is cut, by the audit log', gateway, 'lastMs', LIMIT_MS),
    cut('half are cut, seen by callers', callers, 'halfMs', null),
    cut('99 of 100 are cut, seen by callers', callers, 'p99Ms', null),
    cut('the last is cut, seen by callers', callers, 'lastMs', null),
  ]
}

function lastOf(views: Views): string[] {
  return (['gateway', 'callers'] as const).map((who) => {
    const last = views[who].map(({ lastMs }) => lastMs)
    const by = who === 'gateway' ? 'by the audit log' : 'seen by callers'
    return `the last cut of ${last.length} rounds, ${by}: median ${show(quantile(last, 0.5))} ms, p99 ${show(quantile(last, 0.99))} ms`
  })
}

/** Whole at once, in the form that earlier versions read as well. When it was there, milliseconds since the epoch. */
async function writeList(
  { revocationList }: RunningGateway,
  agents: readonly string[],
): Promise<number> {
  const since = new Date().toISOString()
  const revoked = agents.map((value) => ({
    ...{ kind: 'agent', value, reason: 'bench' },
    ...{ since, until: null },
  }))
  await writeFile(`${revocationList}.next`, JSON.stringify({ revoked }))
  const beforeMs = Date.now()
  await rename(`${revocationList}.next`, revocationList)
  return beforeMs
}

/** Nobody is revoked, and the gateway knows it. */
async function letIn(stage: Stage, gateway: RunningGateway): Promise<void> {
  await writeList(gateway, [])
  const call = { kind: 'unary', concurrency: 1, perSecond: null, warmMs: 0, windowMs: 50 } as const
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    await stage.connect(asContestant(gateway), 1)
    const { completed, failed } = await runOnce(stage.load, GATEWAY, [], call)
    await stage.disconnect(GATEWAY)
    if (completed > 0 && failed === 0) return
    if (performance.now() > until) throw new Error('cuts: an agent let in again is still refused')
  }
}

/** The times of so many cuts, from what was written behind the first `from` bytes. */
async function audited(
  { auditFile }: RunningGateway,
  from: number,
  count: number,
): Promise<number[]> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const all = await readFile(auditFile)
    const times = cutsInAudit(all.subarray(from).toString(), REASON)
    if (times.length >= count) return times
    if (performance.now() > until)
      throw new Error(`cuts: ${times.length} of ${count} are in the audit log`)
    await sleep(20)
  }
}
