/** The story that a newcomer sees: one delegation that succeeds, one fetch that is refused, and what was recorded. */
import { dirname, join, relative } from 'node:path'
import type { AuditTrail } from './audit-trail.ts'
import { AGENTS, TENANT, TRUST_DOMAIN } from './dev-identities.ts'
import type { DevMesh } from './dev-mesh.ts'
import { linesToPaste } from './lines-to-paste.ts'
import { type Failure, isRecord, type Outcome } from './message.ts'
import { type Screen, wrap } from './screen.ts'

/** Named by no policy: example.net is nobody's (RFC 2606). */
export const FORBIDDEN_URL = 'https://pastebin.example.net/upload'

const REFUSAL = /^MESH_(POLICY|CHAIN|TOKEN)_|_REJECTED$/

export function showMesh(screen: Screen, mesh: DevMesh, document: string | null): void {
  const { ports } = mesh
  const at = (port: number) => `127.0.0.1:${port}`
  const name = (agent: string) => `${agent}.${TENANT}.${TRUST_DOMAIN}`
  screen.heading('Clawmesh is up')
  screen.line()
  screen.table([
    ['gateway', at(ports.delegation), 'delegation: agents call each other here'],
    ['', at(ports.egress), 'egress: their requests to the outside'],
    ['', at(ports.admin), 'admin: /console/ /metrics /health /ready'],
    ...AGENTS.toReversed().map((agent) => [
      agent,
      agent === 'researcher' ? at(ports.researcher) : '-',
      name(agent),
    ]),
    ...(document === null ? [] : [['documents', at(ports.documents), document]]),
    ['dns', at(ports.dns), 'the names of the mesh'],
  ])
  screen.line()
}

/** True when all went as it should. */
export async function demonstrate(
  screen: Screen,
  mesh: DevMesh,
  trail: AuditTrail,
  cwd: string,
): Promise<boolean> {
  const first = await read(screen, mesh, mesh.url, 'planner → gateway → researcher, who reads')
  screen.line()
  await read(screen, mesh, FORBIDDEN_URL, 'the same for a page that policy does not name')
  screen.line()
  screen.heading('What the gateway recorded')
  const { auditFile } = mesh.files
  screen.paragraph(`the call and the refusal; all of it: ${relative(cwd, auditFile)}`)
  const call = await trail.find(
    (r) => r.event === 'delegation' && String(r.grpc_method).endsWith('/Delegate'),
  )
  const refusal = await trail.find((r) => r.event === 'egress' && r.action_allowed === false)
  for (const line of [call, refusal]) {
    screen.line()
    screen.paragraph(line ?? 'no line was written')
  }
  screen.line()
  screen.heading('Paste these, from this directory')
  const dir = relative(cwd, mesh.identities.dirOf('planner')).replace(/\/planner$/, '')
  const { ports, url } = mesh
  for (const { says, lines } of linesToPaste({
    dir,
    ports,
    url,
    delegationId: first.delegationId,
  })) {
    screen.line()
    screen.line(screen.dim(`# ${says}`))
    for (const line of lines) screen.line(line)
  }
  return first.kind === 'outcome' && call !== null && refusal !== null
}

async function read(
  screen: Screen,
  mesh: DevMesh,
  url: string,
  heading: string,
): Promise<Outcome | Failure> {
  screen.heading(heading)
  screen.line(`  ${url}`)
  const end = await mesh.order(url, ({ fraction, note }) => {
    const percent = `${Math.round(fraction * 100)}%`.padStart(6)
    screen.line(screen.dim(`${percent}  ${note}`))
  })
  if (end.kind === 'failure') {
    const word = REFUSAL.test(end.code) ? 'refused' : 'failed '
    screen.line(`  ${screen.bad(word)}  ${end.code}`)
    screen.paragraph(end.message, '           ')
    screen.paragraph(`hint: ${end.hint}`, '           ')
    // what went wrong inside a skill is told to nobody but its owner, who is at this terminal
    if (end.code === 'MESH_TASK_FAILED')
      screen.paragraph(`it is in ${researcherLog(mesh)}`, '           ')
  } else {
    screen.line(`  ${screen.good('done')} in ${Math.round(end.durationMs)} ms`)
    showAnalysis(screen, end.result)
  }
  return end
}

function researcherLog(mesh: DevMesh): string {
  const file = join(dirname(mesh.files.auditFile), 'logs', 'researcher.log')
  return relative(process.cwd(), file)
}

function showAnalysis(screen: Screen, result: unknown): void {
  if (!isRecord(result)) return
  const { title, words, terms, headings, links, truncated } = result
  const list = (value: unknown, say: (item: Readonly<Record<string, unknown>>) => string) =>
    Array.isArray(value) ? value.filter(isRecord).map(say) : []
  const texts = list(headings, (item) => String(item.text))
  const urls = list(links, (item) => String(item.url))
  const facts: [string, string][] = [
    ['title', typeof title === 'string' ? title : 'none'],
    ['words', `${String(words)}${truncated === true ? ', of the first 2 MiB' : ''}`],
    [
      'terms',
      list(terms, (item) => `${String(item.term)} ${String(item.count)}`).join(', ') || 'none',
    ],
    ['headings', some(texts)],
    ['links', some(urls)],
  ]
  for (const [what, value] of facts) {
    const [head = '', ...rest] = wrapped(value)
    screen.line(`  ${screen.dim(what.padEnd(9))}  ${head}`)
    for (const line of rest) screen.line(`             ${line}`)
  }
}

const SHOWN = 5

function some(items: readonly string[]): string {
  const rest = items.length - SHOWN
  const shown = items.slice(0, SHOWN).join('\n')
  return items.length === 0 ? 'none' : rest > 0 ? `${shown}\nand ${rest} more` : shown
}

const VALUE_COLUMNS = 66

/** Lists are broken after a comma; what cannot be broken is cut. */
function wrapped(value: string): string[] {
  return value.split('\n').flatMap((line) => {
    if (line.length <= VALUE_COLUMNS) return [line]
    return line.includes(', ')
      ? wrap(line, VALUE_COLUMNS)
      : [`${line.slice(0, VALUE_COLUMNS - 1)}…`]
  })
}
