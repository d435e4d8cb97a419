/**
 * `mesh-gateway revoke`: revokes a certificate, an agent, a tree of delegations or a token. Running gateways notice it
 * by themselves.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import {
  createSpiffeTemplate,
  isDnsLabel,
  MeshError,
  nearest,
  printableJson,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import type { Command } from 'commander'
import { UNUSED } from '../config/resolve-config.ts'
import type { Config } from '../config/schema.ts'
import { meantPeer, namedAgents } from '../policy/compile/named-agents.ts'
import { loadPolicy } from '../policy/read/load-policy.ts'
import { type Terminal, table } from '../process/terminal.ts'
import {
  isKind,
  isRevocationValue,
  REVOCATION_KINDS,
  type RevocationEntry,
  type RevocationKind,
} from '../revocation/entry.ts'
import { fingerprintOfPem } from '../revocation/fingerprint-of-pem.ts'
import { addToList, beginList, readList, removeFromList } from '../revocation/list-file.ts'
import { addConfigOptions, readCommandConfig } from './config-options.ts'
import { durationValue } from './values.ts'

const MAX_PEM_BYTES = 1024 * 1024

interface RevokeOptions {
  readonly reason?: string
  readonly for?: number
  readonly undo?: boolean
  readonly list?: boolean
  readonly new?: boolean
  readonly json?: boolean
}

const USED = ['revocation.list', 'trustDomain', 'spiffe.agentPath', 'spiffe.gatewayPath'] as const

const EXAMPLES = `
Examples:
  $ mesh-gateway revoke --new                    once, before the first start
  $ mesh-gateway revoke agent acme/planner --reason "laptop stolen"
  $ mesh-gateway revoke certificate tls.crt      the first one of a PEM file
  $ mesh-gateway revoke certificate 5a0c...      serial or SHA-256 fingerprint
  $ mesh-gateway revoke txn 019a...              root_id of the audit log
  $ mesh-gateway revoke token 019a... --for 1h   token_jti of the audit log
  $ mesh-gateway revoke agent acme/planner --undo
  $ mesh-gateway revoke --list

Live streams that are concerned end within a second. A list that has gone is to
be put back: begun anew it lets in everybody that it revoked.`

export function addRevoke(program: Command, terminal: Terminal): void {
  const command = addConfigOptions(
    program
      .command('revoke')
      .description('refuse a certificate, an agent, a tree of delegations or a token, from now on')
      .argument('[kind]', REVOCATION_KINDS.join(', '))
      .argument('[value]', 'which one: see the examples')
      .option('--reason <text>', 'why, for operators')
      .option('--for <time>', 'how long, e.g. 1h (default: for ever)', durationValue)
      .option('--undo', 'let it in again')
      .option('--list', 'show what is revoked')
      .option('--new', 'begin a list, where there never was one')
      .option('--json', 'print the facts as JSON'),
    USED,
  ).addHelpText('after', EXAMPLES)
  command.action(
    async (kind: string | undefined, value: string | undefined, options: RevokeOptions) => {
      const config = await readCommandConfig({ ...options }, terminal, [...USED])
      const file = listOf(config)
      if (options.list === true) return show(await readList(file, Date.now()), options, terminal)
      if (options.new === true) {
        if (options.undo === true) return command.error('error: a new list has nothing to undo')
        await beginList(file, Date.now())
        terminal.say(`began ${file}: it revokes nothing yet`)
        if (kind === undefined) return
      }
      if (!isKind(kind) || value === undefined)
        return command.error(`error: say what: ${REVOCATION_KINDS.join(', ')}, and which one`)
      const thing = { kind, value: await canonical(kind, value, config, options.undo) }
      if (options.undo === true) return undo(file, thing, terminal)
      const nowMs = Date.now()
      const entry = {
        ...thing,
        reason: options.reason ?? null,
        since: new Date(nowMs).toISOString(),
        until: options.for === undefined ? null : new Date(nowMs + options.for).toISOString(),
      }
      await addToList(file, entry, nowMs)
      await warnOfNearMiss(thing, config, terminal)
      if (options.json === true) terminal.print(printableJson(entry, 2))
      terminal.say(`revoked ${kind} ${thing.value}, in ${file}`)
    },
  )
}

/** The given name is revoked in any case, which is safe. But the intended agent may still be active. */
async function warnOfNearMiss(
  { kind, value }: Pick<RevocationEntry, 'kind' | 'value'>,
  config: Config,
  terminal: Terminal,
): Promise<void> {
  const { trustDomain, spiffe, policy } = config
  const agent = createSpiffeTemplate({ trustDomain, ...spiffe }).parse(value)
  if (kind !== 'agent' || agent?.kind !== 'agent' || policy.dir === UNUSED) return
  const loading = await loadPolicy(policy)
  const file = loading.ok ? loading.snapshot.tenants.get(agent.tenant) : undefined
  const meant = file === undefined ? null : meantPeer(agent, namedAgents(file))
  if (file === undefined || meant === null) return
  const said = `${file.file} names no ${agent.agent}, and ${meant.agent}`
  terminal.say(`warning: ${said}: revoke ${meant.tenant}/${meant.agent} if that was meant`)
}

async function undo(
  file: string,
  thing: Pick<RevocationEntry, 'kind' | 'value'>,
  terminal: Terminal,
): Promise<void> {
  if (await removeFromList(file, thing, Date.now())) {
    terminal.say(`${thing.kind} ${thing.value} is no longer revoked by ${file}`)
    return
  }
  const revoked = (await readList(file, Date.now())).filter(({ kind }) => kind === thing.kind)
  const meant = nearest(
    thing.value,
    revoked.map(({ value }) => value),
    2,
  )
  throw new MeshError('MESH_REVOCATION_INVALID', `${thing.kind} ${thing.value} is not in ${file}`, {
    hint: meant === null ? '`mesh-gateway revoke --list` shows what is' : `${meant} is`,
  })
}

function show(
  entries: readonly RevocationEntry[],
  { json }: RevokeOptions,
  terminal: Terminal,
): void {
  terminal.print(
    json === true
      ? printableJson({ revoked: entries }, 2)
      : table(
          ['KIND', 'VALUE', 'SINCE', 'UNTIL', 'BY', 'REASON'],
          entries.map((one) => [
            one.kind,
            one.value,
            one.since,
            one.until ?? 'for ever',
            one.by ?? 'operator',
            one.reason ?? '',
          ]),
        ),
  )
}

function listOf({ revocation }: Config): string {
  if (revocation.list !== null) return revocation.list
  throw new MeshError('MESH_REVOCATION_INVALID', 'no revocation list is configured', {
    hint: 'set revocation.list in the configuration, MESH_REVOCATION_LIST or --revocation-list, to the same file as the gateway',
  })
}

/** The canonical spelling, under which it is looked up. What an earlier version let in can be undone. @throws MeshError MESH_REVOCATION_INVALID */
async function canonical(
  kind: RevocationKind,
  text: string,
  config: Config,
  undo = false,
): Promise<string> {
  const value =
    kind === 'agent'
      ? agentId(text, createSpiffeTemplate({ trustDomain: config.trustDomain, ...config.spiffe }))
      : kind === 'certificate'
        ? await certificateOf(text)
        : text
  if (isRevocationValue(kind, value) && (undo || IDS[kind].test(value))) return value
  // a secret is not repeated
  if (kind === 'token' && JWT.test(text))
    throw new MeshError('MESH_REVOCATION_INVALID', 'that is a token itself', {
      hint: `${HOW_NAMED.token}; POST /v1/token/revoke takes the token itself`,
    })
  throw new MeshError('MESH_REVOCATION_INVALID', `${JSON.stringify(text)} names no ${kind}`, {
    hint: HOW_NAMED[kind],
  })
}

function agentId(text: string, spiffe: SpiffeTemplate): string {
  if (text.startsWith('spiffe://')) return spiffe.parse(text) === null ? '' : text
  const [tenant = '', agent = '', ...more] = text.split('/')
  const named = isDnsLabel(tenant) && isDnsLabel(agent) && more.length === 0
  return named ? spiffe.agent(tenant, agent).id : ''
}

/**
 * Stricter than what a list may hold: a part of an id, or the id of something else, would be written down and refuse
 * nothing. The gateway makes UUIDs; before the id of another issuer's token stand eight digits and a colon.
 */
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const IDS: Readonly<Record<RevocationKind, RegExp>> = {
  certificate: /^/,
  agent: /^/,
  txn: new RegExp(`^${UUID}$`),
  token: new RegExp(`^(?:${UUID}$|[0-9a-f]{8}:)`),
}
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/
const CERTIFICATE_NAMES = 'a PEM file, a SHA-256 fingerprint or a serial number'
const HOW_NAMED: Readonly<Record<RevocationKind, string>> = {
  certificate: `name ${CERTIFICATE_NAMES}`,
  agent: 'write tenant/agent, e.g. acme/planner, or its SPIFFE ID',
  txn: 'name a tree by root_id of an audit record',
  token: 'name a token by token_jti of an audit record, the whole of it',
}

/** A file gives its fingerprint; a number only gets the canonical spelling. */
async function certificateOf(text: string): Promise<string> {
  const hex = text.replaceAll(':', '').toLowerCase()
  if (/^[0-9a-f]{1,64}$/.test(hex)) {
    const even = hex.length % 2 === 0 ? hex : `0${hex}`
    return hex.length === 64 ? hex : even.replace(/^(?:00)+(?=..)/, '')
  }
  const pem = await readWhole(text, { maxBytes: MAX_PEM_BYTES }).catch(async (cause: unknown) => {
    const message = `cannot read ${text} (${describeFileFault(cause)})`
    const directory = (await stat(text).catch(() => null))?.isDirectory() === true
    throw new MeshError('MESH_REVOCATION_INVALID', message, {
      hint: directory ? `it is a directory: name ${join(text, 'tls.crt')}` : HOW_NAMED.certificate,
      cause,
    })
  })
  return fingerprintOfPem(pem.toString('utf8'))
}
