/** Reads the latest lines of the audit log, the newest first, and finds those that an operator asks for. */
import type { LineKind, RecentLines } from '../../audit/recent-lines.ts'
import type { Steps } from '../../process/in-slices.ts'
import type { DecisionFilter, Line } from './facts.ts'

const KINDS: readonly LineKind[] = ['refused', 'delegation', 'egress']

/** Each line begins with its time, `{"time":"2026-…Z"`: as text, times are in order. */
const TIME = [9, 33] as const

export function timeOf(line: Line): string {
  return line.slice(...TIME)
}

export type OwnFields = Readonly<Record<string, unknown>>

/** The fields of a line that this program has written itself. */
export function ownFields(line: Line): OwnFields {
  return JSON.parse(line)
}

/** Lines of all kinds, the newest first. */
export function* newestFirst(lists: readonly (readonly Line[])[]): Generator<Line, void> {
  const ends = lists.map((list) => list.length)
  for (;;) {
    let newest = -1
    let time = ''
    for (const [i, list] of lists.entries()) {
      const line = list[(ends[i] ?? 0) - 1]
      if (line === undefined || timeOf(line) < time) continue
      newest = i
      time = timeOf(line)
    }
    const end = ends[newest]
    const line = end === undefined ? undefined : lists[newest]?.[end - 1]
    if (end === undefined || line === undefined) return
    ends[newest] = end - 1
    yield line
  }
}

export function allLines(recent: Pick<RecentLines, 'of'>): readonly (readonly Line[])[] {
  return KINDS.map((kind) => recent.of(kind))
}

/** Pauses after each line: when none fits, thousands are read. */
export function* findDecisions(
  recent: Pick<RecentLines, 'of'>,
  filter: DecisionFilter,
): Steps<{ readonly lines: readonly Line[]; readonly more: boolean }> {
  const kinds = KINDS.filter((kind) => mayHold(kind, filter))
  const lines: Line[] = []
  for (const line of newestFirst(kinds.map((kind) => recent.of(kind)))) {
    yield
    if (!fits(line, filter)) continue
    if (lines.length === filter.last) return { lines, more: true }
    lines.push(line)
  }
  return { lines, more: false }
}

function mayHold(kind: LineKind, { allowed, plane }: DecisionFilter): boolean {
  if (kind === 'refused') return allowed !== true
  return allowed !== false && (plane === null || plane === kind)
}

function fits(line: Line, filter: DecisionFilter): boolean {
  const { agent, host, reason, plane } = filter
  if (plane === null && agent === null && host === null && reason === null) return true
  const fields = ownFields(line)
  const text = (name: string) => {
    const value = fields[name]
    return typeof value === 'string' ? value : ''
  }
  const holds = (value: string, wanted: string | null) =>
    wanted === null || value.toLowerCase().includes(wanted.toLowerCase())
  if (plane !== null && text('event') !== plane) return false
  return (
    holds(`${text('tenant')}/${text('agent_id')}`, agent) &&
    holds(`${text('destination_host')} ${text('callee')}`, host) &&
    holds(text('reason'), reason)
  )
}
