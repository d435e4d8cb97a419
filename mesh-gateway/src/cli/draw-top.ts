/** Draws the facts of `mesh-gateway top` as text. Pure. Names of agents and hosts are made safe for a terminal. */
import { printable } from '@clawmesh/proto'
import { table } from '../process/terminal.ts'
import { span } from '../text/time-span.ts'
import { silenceNote } from './ask-admin.ts'
import type { Seen, TopFacts } from './top-facts.ts'

const SHOWN = 8
/** A limit that is fuller is shown. */
const FULL = 0.5

/** @param before what was seen the time before, for rates; empty at first */
export function drawTop(
  seen: readonly Seen[],
  before: readonly Seen[],
  nowMs = Date.now(),
): string {
  const parts = seen.map((one) => {
    const earlier = before.find(({ url }) => url === one.url) ?? null
    return one.facts === null
      ? `${printable(one.url)}  ${printable(one.fault ?? 'gives no answer')}`
      : gateway(one, one.facts, earlier, nowMs)
  })
  return parts.join('\n\n')
}

function gateway(seen: Seen, facts: TopFacts, before: Seen | null, nowMs: number): string {
  const { overview } = facts
  const state = !overview.ready ? 'not ready' : overview.degraded.length > 0 ? 'degraded' : 'ready'
  const workers = overview.workers.length
  const ready = overview.workers.filter((one) => one.state === 'ready').length
  const head = [
    ...[overview.identity, state, `version ${overview.version}`],
    ...(workers === 0 ? [] : [`${ready} of ${workers} workers ready`]),
    `up ${span(nowMs - Date.parse(overview.started))}`,
    `${Math.round(overview.memory_bytes / 1_048_576)} MiB`,
    `policy generation ${overview.policy.generation}`,
  ]
  const faults = [...overview.missing, ...overview.degraded]
  return [
    printable(head.join('  ')),
    ...silenceNote(overview),
    ...faults.map(({ what, reason }) => printable(`! ${what}: ${reason}`)),
    rates(seen, facts, before),
    ...ends(facts, nowMs),
    ...section('RUNNING', running(facts)),
    ...section('REFUSED', refused(facts)),
    ...section('PEERS AVOIDED', avoided(facts)),
    ...section(`LIMITS counted in the ${facts.limits.counted_in}`, full(facts)),
  ].join('\n')
}

function section(title: string, rows: string | null): string[] {
  return rows === null ? [] : ['', title, rows]
}

function rates(seen: Seen, { overview }: TopFacts, before: Seen | null): string {
  const line = (name: string, plane: 'delegation' | 'egress', open: string) => {
    const now = overview.decisions[plane]
    const then = before?.facts?.overview.decisions[plane]
    const seconds = before === null ? 0 : (seen.atMs - before.atMs) / 1000
    // a worker that was started again counts from 0
    const rate = (a: number, b: number) => `${(Math.max(0, a - b) / seconds).toFixed(1)}/s`
    const allowed = now.allow + now.audit
    if (then === undefined || seconds <= 0)
      return `${name.padEnd(10)}${allowed} allowed, ${now.deny} refused, ${open}`
    const allowedThen = then.allow + then.audit
    return `${name.padEnd(10)}${rate(allowed, allowedThen)} allowed, ${rate(now.deny, then.deny)} refused, ${open}`
  }
  const { calls, tunnels } = overview.open
  return [
    line('calls', 'delegation', `${calls} open`),
    line('requests', 'egress', `${tunnels} open`),
  ].join('\n')
}

/** The certificate of the gateway, and whatever ends before it. */
function ends({ certificates }: TopFacts, nowMs: number): string[] {
  const soonest = certificates
    .flatMap(({ kind, until }) =>
      until === null ? [] : [{ kind, leftMs: Date.parse(until) - nowMs }],
    )
    .toSorted((a, b) => a.leftMs - b.leftMs)
    .slice(0, 2)
  const shown = soonest.map(({ kind, leftMs }) =>
    leftMs < 0 ? `${kind} ended ${span(leftMs)} ago` : `${kind} ends in ${span(leftMs)}`,
  )
  return shown.length === 0 ? [] : [printable(`ends      ${shown.join(', ')}`)]
}

function running({ trees }: TopFacts): string | null {
  const rows = trees
    .filter(({ states }) => states.running !== undefined)
    .map((one) => [
      ...[one.root_id, one.origin ?? '?', `${(one.duration_ms / 1000).toFixed(1)} s`],
      ...[`${one.states.running} of ${one.delegations}`],
    ])
  return listed(['ROOT', 'BY', 'FOR', 'RUNNING'], rows)
}

function refused({ refused: records }: TopFacts): string | null {
  const rows = records.map((one) => [
    ...[one.time.slice(11, 19), `${one.tenant ?? '?'}/${one.agent_id ?? '?'}`],
    one.event === 'egress' ? (one.destination_host ?? '?') : (one.callee ?? '?'),
    ...[`${one.reason}${one.repeated == null ? '' : ` ${one.repeated} times`}`, one.rule ?? ''],
  ])
  return listed(['TIME', 'AGENT', 'TO', 'REASON', 'RULE'], rows)
}

function avoided({ peers }: TopFacts): string | null {
  const rows = peers.flatMap(({ name, addresses }) =>
    addresses
      .filter(({ failures }) => failures > 0)
      .map((one) => [
        ...[name, `${one.ip} ${one.port}`, String(one.failures)],
        `${(one.avoided_ms / 1000).toFixed(1)} s`,
      ]),
  )
  return listed(['PEER', 'ADDRESS', 'FAILURES', 'STILL'], rows)
}

function full({ limits }: TopFacts): string | null {
  const rows = limits.uses
    .filter(({ used, most }) => (used ?? 0) / Math.max(1, most) >= FULL)
    .map(({ key, kind, used, most }) => [key, kind, `${used} of ${most}`])
  return listed(['KEY', 'KIND', 'USED'], rows)
}

/** Null without a row. */
function listed(head: readonly string[], rows: readonly (readonly string[])[]): string | null {
  if (rows.length === 0) return null
  const more = rows.length > SHOWN ? `\nand ${rows.length - SHOWN} more` : ''
  return `${table(head, rows.slice(0, SHOWN))}${more}`
}
