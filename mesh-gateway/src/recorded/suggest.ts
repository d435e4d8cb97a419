/**
 * Gathers what was let through, also by audit mode, and makes the policy that allows just that. What a deny rule or the
 * address rules have refused is never part of it. Says what the recording cannot tell.
 */
import { MeshError, type Peer } from '@clawmesh/proto'
import { compileAddressRules } from '../net/address-rules.ts'
import { judgeAddresses } from '../net/judge-addresses.ts'
import { methodFault } from '../policy/compile/selector.ts'
import { seesTaskThrough, withSeeingThrough } from '../policy/decide/task-methods.ts'
import type { GlobalDocument, TenantDocument } from '../policy/read/schema.ts'
import { addCall, type DelegationUse, delegationKey, newDelegationUse } from './delegation-uses.ts'
import { addRequest, type EgressUse, newUse, useKey } from './egress-uses.ts'
import type { DelegationCase, EgressCase, RecordedCase } from './recorded-case.ts'
import { type Gathered, tenantDocuments } from './suggested-documents.ts'
import { widenHosts } from './widen-hosts.ts'

export interface SuggestOptions {
  /** Null: all of them. */
  readonly tenant: string | null
  /** From how many hosts below one parent on `*.parent` is suggested; null: never. */
  readonly wildcards: number | null
}

export interface Suggestion {
  readonly tenants: readonly TenantDocument[]
  /** Null when none is needed, and of one tenant alone, whose it is not. */
  readonly global: GlobalDocument | null
  /** How many records the rules stand for. */
  readonly records: number
  /** Of what was let through, left out because it was refused by a deny rule or the address rules at another time. */
  readonly leftOut: number
  /** Refused as policy stood. */
  readonly refused: number
  /** For whoever reads the suggestion. */
  readonly remarks: readonly string[]
}

export interface Suggesting {
  /** @throws MeshError MESH_POLICY_INVALID when there are more destinations than any policy can hold */
  add(recorded: RecordedCase): void
  finish(): Suggestion
}

const MAX_USES = 200_000
const USUAL_PORTS: readonly number[] = [80, 443]
const NO_ADDRESS_RULES = compileAddressRules({ allowCidrs: [], denyCidrs: [] })
const BY_DENY_RULE = /^[\w.-]+#\/egress\/(?:agents\/[^/]+\/)?deny\//

export function createSuggestion({ tenant, wildcards }: SuggestOptions): Suggesting {
  const uses = new Map<string, EgressUse>()
  const calls = new Map<string, DelegationUse>()
  const originating = new Set<string>()
  const hops = new Map<string, number>()
  const ports = new Set<number>()
  const addresses = new Map<string, Set<string>>()
  /** Of an agent, by deny rules; of anybody, by address rules. */
  const denied = new Set<string>()
  const refusedAddresses = new Set<string>()
  const deniedCalls = new Set<string>()
  let records = 0
  let refused = 0
  const concerned = (peer: Peer) => tenant === null || peer.tenant === tenant

  const use = (agent: Peer, recorded: EgressCase) => {
    if (!concerned(agent)) return
    const { host, port, request } = recorded.question
    const key = useKey(agent, host, port)
    const known = uses.get(key) ?? newUse(agent, host, port)
    if (!uses.has(key)) put(uses, key, known)
    addRequest(known, request)
  }

  const addEgress = (recorded: EgressCase) => {
    const { agent, host, port, actors = [] } = recorded.question
    const destination = `${host} ${port}`
    const { code, rule, refusedActor } = recorded
    if (code === 'MESH_EGRESS_ADDRESS_REFUSED') put(refusedAddresses, destination)
    if (code === 'MESH_POLICY_DENIED') put(denied, useKey(agent, host, port))
    if (refusedActor !== null && rule !== null && BY_DENY_RULE.test(rule))
      put(denied, useKey(refusedActor, host, port))
    if (recorded.allowed) {
      originating.add(nameOf(actors[0] ?? agent))
      // each of the chain must be allowed it as well
      for (const one of new Map([agent, ...actors].map((peer) => [nameOf(peer), peer])).values())
        use(one, recorded)
      const { ip } = recorded
      if (ip !== null && !('ips' in judgeAddresses([ip], port, NO_ADDRESS_RULES, [])))
        addresses.set(destination, (addresses.get(destination) ?? new Set()).add(ip))
    }
  }

  const addDelegation = (recorded: DelegationCase) => {
    const { question, hop, chainTenants } = recorded
    const { caller, callee, method, withinChain } = question
    const key = delegationKey(question)
    if (recorded.code === 'MESH_POLICY_DENIED') put(deniedCalls, `${key} ${method}`)
    if (!recorded.allowed) return
    if (!withinChain && !seesTaskThrough(method)) originating.add(nameOf(caller))
    if (hop !== null)
      for (const one of chainTenants) hops.set(one, Math.max(hops.get(one) ?? 0, hop))
    if (!concerned(caller) && !concerned(callee)) return
    const known = calls.get(key) ?? newDelegationUse(question)
    if (!calls.has(key)) put(calls, key, known)
    addCall(known, method)
  }

  return {
    add(recorded) {
      const peer = recorded.plane === 'egress' ? recorded.question.agent : recorded.question.caller
      if (concerned(peer)) {
        if (recorded.allowed) records += 1
        else refused += recorded.times
      }
      if (recorded.plane === 'egress') addEgress(recorded)
      else addDelegation(recorded)
    },
    finish() {
      let leftOut = 0
      const kept = [...uses].flatMap(([key, one]) => {
        if (!denied.has(key) && !refusedAddresses.has(`${one.host} ${one.port}`)) return [one]
        leftOut += one.count
        return []
      })
      const keptCalls = [...calls].flatMap(([key, one]) => {
        const isDenied = (method: string) => deniedCalls.has(`${key} ${method}`)
        if (one.methods === null) {
          // a rule for any method, and deny rules beside it, where they can say what was refused
          const refusals = [...deniedCalls].filter((call) => call.startsWith(`${key} `))
          const denied = refusals.map((call) => call.slice(key.length + 1))
          if (denied.every((method) => methodFault(method) === null)) return [{ ...one, denied }]
          leftOut += 1
          return []
        }
        const methods = [...one.methods].filter((name) => !isDenied(name))
        if (methods.length !== one.methods.size) leftOut += 1
        if (methods.length === 0) return []
        const denied = withSeeingThrough(methods)?.filter(isDenied) ?? []
        return [{ ...one, methods: new Set(methods), denied }]
      })
      for (const { port } of kept) ports.add(port)
      const hidden = [
        ...refusedAddresses,
        ...[...denied].map((key) => key.slice(key.indexOf(' ') + 1)),
      ]
      const unwanted = hidden.map((destination) => destination.split(' ')[0] ?? '')
      const final = wildcards === null ? kept : widenHosts(kept, wildcards, unwanted)
      const gathered: Gathered = { uses: final, calls: keptCalls, originating, hops, tenant }
      const cidrs = kept.flatMap(({ host, port }) => [...(addresses.get(`${host} ${port}`) ?? [])])
      const needed = globalDocument(ports, cidrs)
      return {
        tenants: tenantDocuments(gathered),
        global: tenant === null ? needed : null,
        records,
        leftOut,
        refused,
        remarks: remarks(final, tenant === null ? null : needed),
      }
    },
  }
}

function nameOf({ tenant, agent }: Peer): string {
  return `${tenant}/${agent}`
}

function put<T>(into: Map<string, T>, key: string, value: T): void
function put(into: Set<string>, key: string): void
function put<T>(into: Map<string, T> | Set<string>, key: string, value?: T): void {
  if (into.size >= MAX_USES)
    throw new MeshError(
      'MESH_POLICY_INVALID',
      `the recording has more than ${MAX_USES} destinations, which no policy can hold`,
      { hint: 'name one tenant with --tenant, or a shorter piece of the recording' },
    )
  if (into instanceof Set) into.add(key)
  else if (value !== undefined) into.set(key, value)
}

/** Null when the defaults do. */
function globalDocument(ports: ReadonlySet<number>, ips: readonly string[]): GlobalDocument | null {
  const unusual = [...ports].some((port) => !USUAL_PORTS.includes(port))
  if (!unusual && ips.length === 0) return null
  const allowCidrs = [...new Set(ips)].sort().map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`)
  return {
    egress: {
      ...(unusual ? { ports: [...ports].sort((a, b) => a - b) } : {}),
      ...(allowCidrs.length === 0 ? {} : { allowCidrs }),
    },
  }
}

function remarks(uses: readonly EgressUse[], missing: GlobalDocument | null): string[] {
  const said: string[] = []
  const pathless = uses.filter((use) => use.requests !== null && !use.paths).length
  if (pathless > 0)
    said.push(`${pathless} rules name no paths: there are too many, or no rule can say them`)
  if (missing !== null) said.push(`_global.json must have ${JSON.stringify(missing.egress)}`)
  return said
}
