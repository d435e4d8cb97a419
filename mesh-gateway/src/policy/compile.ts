/** From documents that are right to the snapshot that decisions are made on. Pure. */

import { compileAddressRules } from '../net/address-rules.ts'
import { parseHostPattern } from '../net/host-pattern.ts'
import { atOneGo, type Steps } from '../process/in-slices.ts'
import type { DelegationLimits, EgressLimits } from './decision.ts'
import { hostTableInSteps } from './host-table.ts'
import { parsePathGlob } from './path-glob.ts'
import { GLOBAL_FILE, type PolicyFile } from './read-file.ts'
import { type DelegationRule, ruleTableInSteps } from './rule-table.ts'
import { type HostRule, hostRule } from './rules-of-host.ts'
import type {
  DelegationRuleDocument,
  EgressRuleDocument,
  GlobalDocument,
  TenantDocument,
} from './schema.ts'
import { parseSelector } from './selector.ts'
import type {
  AgentDelegation,
  AgentEgress,
  DelegationPolicy,
  EgressPolicy,
  GlobalPolicy,
  PeerLimits,
  PolicySnapshot,
  TenantPolicy,
} from './snapshot.ts'

const DEFAULT_PORTS: readonly number[] = [80, 443]
const TLS_PORTS: readonly number[] = [443]
const QUEUE_LENGTH = 100
const QUEUE_MS = 30_000
const NO_RULES = atOneGo(hostTableInSteps([]))

export type CompiledFile =
  | { readonly kind: 'tenant'; readonly file: string; readonly policy: TenantPolicy }
  | { readonly kind: 'global'; readonly file: string; readonly policy: GlobalPolicy }

/** Entries of a list between two pauses. */
const STRIDE = 16

/** @throws TypeError when the document has not been through readPolicyFile. */
export function* compileInSteps(read: PolicyFile): Steps<CompiledFile> {
  const { file } = read
  return read.kind === 'global'
    ? Object.freeze({ kind: 'global', file, policy: yield* compileGlobal(read.document) })
    : Object.freeze({ kind: 'tenant', file, policy: yield* compileTenant(file, read.document) })
}

/** At one go. @throws TypeError as compileInSteps does */
export function compileFile(read: PolicyFile): CompiledFile {
  return atOneGo(compileInSteps(read))
}

function* mapInSteps<From, To>(
  list: readonly From[],
  make: (item: From, index: number) => To,
): Steps<To[]> {
  const made: To[] = []
  for (const [index, item] of list.entries()) {
    made.push(make(item, index))
    if (index % STRIDE === STRIDE - 1) yield
  }
  return made
}

/** All files at once. @throws TypeError as compileFile does */
export function compilePolicy(files: readonly PolicyFile[], generation: number): PolicySnapshot {
  return assemblePolicy(files.map(compileFile), generation)
}

/** @param broken names of files that are there and not in force */
export function assemblePolicy(
  files: readonly CompiledFile[],
  generation: number,
  broken: readonly string[] = [],
): PolicySnapshot {
  let global: GlobalPolicy | null = null
  const tenants = new Map<string, TenantPolicy>()
  for (const { kind, policy } of files) {
    if (kind === 'global') global = policy
    else tenants.set(policy.tenant, policy)
  }
  return Object.freeze({
    generation,
    files: Object.freeze(files.map((file) => file.file)),
    tenants,
    closed: tenantsOf(broken),
    global: global ?? atOneGo(compileGlobal({})),
  })
}

/** @param files `acme.json` of acme */
export function tenantsOf(files: readonly string[]): ReadonlySet<string> {
  return new Set(files.flatMap((file) => /^(.+)\.json$/.exec(file)?.[1] ?? []))
}

function* compileGlobal(document: GlobalDocument): Steps<GlobalPolicy> {
  const { egress = {}, delegation = {} } = document
  return Object.freeze({
    egressDeny: yield* hostTableInSteps(
      yield* denyRules(egress.deny, `${GLOBAL_FILE}#/egress/deny`),
    ),
    ports: new Set(egress.ports ?? DEFAULT_PORTS),
    portsRule: egress.ports === undefined ? null : `${GLOBAL_FILE}#/egress/ports`,
    addresses: compileAddressRules({
      allowCidrs: egress.allowCidrs ?? [],
      denyCidrs: egress.denyCidrs ?? [],
    }),
    tunnelTls: Object.freeze({
      ports: new Set(egress.tls?.ports ?? TLS_PORTS),
      withoutServerName: egress.tls?.noServerName === 'allow',
      echOuterNames: new Set(egress.tls?.echOuterNames ?? []),
      withoutEch: egress.tls?.ech === 'refuse',
      clearText: egress.tls?.clearText ?? 'other',
    }),
    delegationDeny: yield* ruleTableInSteps(
      yield* delegationRules(delegation.deny, `${GLOBAL_FILE}#/delegation/deny`, null),
    ),
  })
}

function* compileTenant(file: string, document: TenantDocument): Steps<TenantPolicy> {
  return Object.freeze({
    tenant: document.tenant,
    file,
    egress: yield* compileEgress(file, document),
    delegation: yield* compileDelegation(file, document),
  })
}

function* compileEgress(file: string, document: TenantDocument): Steps<EgressPolicy> {
  const { egress = {}, mode = 'enforce' } = document
  const tenantLimits = egress.tenantLimits === undefined ? null : egressLimits(egress.tenantLimits)
  const agents = new Map<string, AgentEgress>()
  const allowedAgent = new Map<string, string>()
  for (const [name, agent] of Object.entries(egress.agents ?? {})) {
    const at = `${file}#/egress/agents/${name}`
    yield
    const allow = yield* allowRules(agent.allow, `${at}/allow`)
    for (const [index, rule] of allow.entries()) {
      if (!rule.pattern.wildcard && !allowedAgent.has(rule.pattern.host))
        allowedAgent.set(rule.pattern.host, name)
      if (index % STRIDE === STRIDE - 1) yield
    }
    agents.set(
      name,
      Object.freeze({
        mode: agent.mode ?? mode,
        allow: yield* hostTableInSteps(allow),
        deny: yield* hostTableInSteps(yield* denyRules(agent.deny, `${at}/deny`)),
        limits: egressLimits({ ...egress.limits, ...agent.limits }),
        tenantLimits,
      }),
    )
  }
  const allow = yield* allowRules(egress.allow, `${file}#/egress/allow`)
  const children = new Map<string, HostRule>()
  for (const [index, rule] of allow.entries()) {
    const parent = rule.pattern.host.slice(rule.pattern.host.indexOf('.') + 1)
    if (!rule.pattern.wildcard && !children.has(parent)) children.set(parent, rule)
    if (index % STRIDE === STRIDE - 1) yield
  }
  return Object.freeze({
    allow: yield* hostTableInSteps(allow),
    deny: yield* hostTableInSteps(yield* denyRules(egress.deny, `${file}#/egress/deny`)),
    others: Object.freeze({
      mode,
      allow: NO_RULES,
      deny: NO_RULES,
      limits: egressLimits(egress.limits ?? {}),
      tenantLimits,
    }),
    agents,
    allowedAgent,
    children,
  })
}

function* compileDelegation(file: string, document: TenantDocument): Steps<DelegationPolicy> {
  const { delegation = {}, tenant, mode = 'enforce' } = document
  const at = `${file}#/delegation`
  const agents = new Map<string, AgentDelegation>()
  for (const [name, agent] of Object.entries(delegation.agents ?? {})) {
    yield
    agents.set(
      name,
      Object.freeze({
        mode: agent.mode ?? mode,
        mayOriginate: agent.mayOriginate ?? true,
        limits: delegationLimits({ ...delegation.limits, ...agent.limits }),
        peerLimits: compilePeerLimits({ ...delegation.peerLimits, ...agent.peerLimits }),
      }),
    )
  }
  return Object.freeze({
    allow: yield* ruleTableInSteps(yield* delegationRules(delegation.allow, `${at}/allow`, tenant)),
    accept: yield* ruleTableInSteps(
      yield* delegationRules(delegation.accept, `${at}/accept`, tenant),
    ),
    // in a deny list * stays *: nobody slips through by belonging to another tenant
    deny: yield* ruleTableInSteps(
      yield* delegationRules(delegation.deny, `${at}/deny`, tenant, '*'),
    ),
    chain: Object.freeze({
      maxHops: delegation.maxHops ?? null,
      maxDelegationsPerRoot: delegation.maxDelegationsPerRoot ?? null,
    }),
    tenantLimits:
      delegation.tenantLimits === undefined ? null : delegationLimits(delegation.tenantLimits),
    others: Object.freeze({
      mode,
      mayOriginate: true,
      limits: delegationLimits(delegation.limits ?? {}),
      peerLimits: compilePeerLimits(delegation.peerLimits ?? {}),
    }),
    agents,
  })
}

function* allowRules(
  list: readonly (string | EgressRuleDocument)[] = [],
  at: string,
): Steps<HostRule[]> {
  const rules: HostRule[] = []
  for (const [index, entry] of list.entries()) {
    const id = `${at}/${index}`
    if (index % STRIDE === 0) yield
    if (typeof entry === 'string') {
      rules.push(hostRule(id, good(parseHostPattern(entry))))
      continue
    }
    const { host, methods = null, paths, scheme } = entry
    const globs =
      paths === undefined ? null : yield* mapInSteps(paths, (text) => good(parsePathGlob(text)))
    rules.push(hostRule(id, good(parseHostPattern(host)), methods, globs, scheme))
  }
  return rules
}

function denyRules(list: readonly string[] = [], at: string): Steps<HostRule[]> {
  return mapInSteps(list, (text, index) => hostRule(`${at}/${index}`, good(parseHostPattern(text))))
}

function delegationRules(
  list: readonly DelegationRuleDocument[] = [],
  at: string,
  tenant: string | null,
  anybody: string = `${tenant}/*`,
): Steps<DelegationRule[]> {
  const full = (text: string) => {
    const selector = good(parseSelector(text))
    if (selector.tenant !== null) return `${selector.tenant}/${selector.agent}`
    if (selector.agent === '*') return tenant === null ? '*' : anybody
    return `${tenant}/${selector.agent}`
  }
  return mapInSteps(list, (rule, index) =>
    Object.freeze({
      id: `${at}/${index}`,
      from: full(rule.from),
      to: full(rule.to),
      methods: rule.methods === undefined ? null : Object.freeze([...rule.methods]),
    }),
  )
}

type Partly<T> = { readonly [K in keyof T]?: number | undefined }

function egressLimits(limits: Partly<EgressLimits>): EgressLimits {
  const requestsPerMinute = limits.requestsPerMinute ?? null
  const tenth = requestsPerMinute === null ? null : Math.ceil(requestsPerMinute / 10)
  return Object.freeze({
    requestsPerMinute,
    burst: limits.burst ?? tenth,
    concurrentTunnels: limits.concurrentTunnels ?? null,
    concurrentRequests: limits.concurrentRequests ?? null,
    maxBodyBytes: limits.maxBodyBytes ?? null,
  })
}

function delegationLimits(limits: Partly<DelegationLimits>): DelegationLimits {
  return Object.freeze({
    callsPerMinute: limits.callsPerMinute ?? null,
    concurrentStreams: limits.concurrentStreams ?? null,
  })
}

function compilePeerLimits(limits: Partly<PeerLimits>): PeerLimits | null {
  const { concurrentTasks, queueLength = QUEUE_LENGTH, queueMs = QUEUE_MS } = limits
  return concurrentTasks === undefined
    ? null
    : Object.freeze({ concurrentTasks, queueLength, queueMs })
}

function good<T>(parsed: T | string): T {
  if (typeof parsed === 'string')
    throw new TypeError(`a document that was not validated: ${parsed}`)
  return parsed
}
