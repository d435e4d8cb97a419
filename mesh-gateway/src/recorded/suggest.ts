/**
 * Collects admitted requests, those of audit mode included, and makes the policy that allows exactly them. It never
 * contains what a deny rule or the address rules have refused. Reports what the recording cannot show.
 */
import { MeshError, type Peer } from '@clawmesh/proto'
import { compileAddressRules } from '../net/address-rules.ts'
import { judgeAddresses } from '../net/judge-addresses.ts'
import { methodFault } from '../policy/compile/selector.ts'
import { beginsNothing, withImplied } from '../policy/decide/task-methods.ts'
import type { GlobalDocument, TenantDocument } from '../policy/read/schema.ts'
import { addCall, type DelegationUse, delegationKey, newDelegationUse } from './delegation-uses.ts'
import { addRequest, type EgressUse, newUse, useKey } from './egress-uses.ts'
import type { DelegationCase, EgressCase, RecordedCase } from './recorded-case.ts'
import { type Gathered, tenantDocuments } from './suggested-documents.ts'
import { widenHosts } from './widen-hosts.ts'

export interface SuggestOptions {
  /** Null: all of them. */
  readonly tenant: string | null
  /** From this number of hosts below one parent on, `*.parent` is suggested; null: never. */
  readonly wildcards: number | null
}

export interface Suggestion {
  readonly tenants: readonly TenantDocument[]
  /** Null when none is needed, and for a single tenant, which must not change it. */
  readonly global: GlobalDocument | null
  /** The number of records that the rules cover. */
  readonly records: number
  /** Admitted requests that are omitted, because a deny rule or the address rules refused them at another time. */
  readonly leftOut: number
  /** Refused under the policy of that time. */
  readonly refused: number
  /** Remarks for the reader of the suggestion. */
  readonly remarks: readonly string[]
}

export interface Suggesting {
  /** @throws MeshError MESH_POLICY_INVALID when there are more destinations than a policy can contain */
  add(recorded: RecordedCase): void
  finish(): Suggestion
}

const MAX_USES = 200_000
const USUAL_PORTS: readonly number[] = [80, 443]
const NO_ADDRESS_RULES = compileAddressRules({ allowCidrs: [], denyCidrs: [] })
const BY_DENY_RULE = /^[\w.-]+#\/egress\/(?:agents\/[^/]+\/)?deny\//

export function createSuggestion(options: SuggestOptions): Suggesting {
  return new Recording(options)
}

/** What the records say, and what is suggested for it. */
class Recording implements Suggesting {
  readonly #tenant: string | null
  readonly #wildcards: number | null
  readonly #uses = new Map<string, EgressUse>()
  readonly #calls = new Map<string, DelegationUse>()
  readonly #originating = new Set<string>()
  readonly #hops = new Map<string, number>()
  readonly #addresses = new Map<string, Set<string>>()
  /** By agent for deny rules; for all agents for address rules. */
  readonly #denied = new Set<string>()
  readonly #refusedAddresses = new Set<string>()
  readonly #deniedCalls = new Set<string>()
  #records = 0
  #refused = 0

  constructor({ tenant, wildcards }: SuggestOptions) {
    this.#tenant = tenant
    this.#wildcards = wildcards
  }

  add(recorded: RecordedCase): void {
    const peer = recorded.plane === 'egress' ? recorded.question.agent : recorded.question.caller
    if (this.#concerns(peer)) {
      if (recorded.allowed) this.#records += 1
      else this.#refused += recorded.times
    }
    if (recorded.plane === 'egress') this.#addEgress(recorded)
    else this.#addDelegation(recorded)
  }

  finish(): Suggestion {
    const { kept, leftOut } = this.#keptUses()
    const { keptCalls, leftOutCalls } = this.#keptCalls()
    const tenant = this.#tenant
    const uses =
      this.#wildcards === null ? kept : widenHosts(kept, this.#wildcards, this.#unwantedHosts())
    const gathered: Gathered = {
      uses,
      calls: keptCalls,
      originating: this.#originating,
      hops: this.#hops,
      tenant,
    }
    const ports = new Set(kept.map(({ port }) => port))
    const ips = kept.flatMap(({ host, port }) => [
      ...(this.#addresses.get(`${host} ${port}`) ?? []),
    ])
    const needed = globalDocument(ports, ips)
    return {
      tenants: tenantDocuments(gathered),
      global: tenant === null ? needed : null,
      records: this.#records,
      leftOut: leftOut + leftOutCalls,
      refused: this.#refused,
      remarks: remarks(uses, tenant === null ? null : needed),
    }
  }

  #concerns(peer: Peer): boolean {
    return this.#tenant === null || peer.tenant === this.#tenant
  }

  #addEgress(recorded: EgressCase): void {
    const { agent, host, port, actors = [] } = recorded.question
    const destination = `${host} ${port}`
    const { code, rule, refusedActor } = recorded
    if (code === 'MESH_EGRESS_ADDRESS_REFUSED') put(this.#refusedAddresses, destination)
    if (code === 'MESH_POLICY_DENIED') put(this.#denied, useKey(agent, host, port))
    if (refusedActor !== null && rule !== null && BY_DENY_RULE.test(rule))
      put(this.#denied, useKey(refusedActor, host, port))
    if (!recorded.allowed) return
    this.#originating.add(nameOf(actors[0] ?? agent))
    // each agent of the chain must be allowed it as well
    for (const one of new Map([agent, ...actors].map((peer) => [nameOf(peer), peer])).values())
      this.#use(one, recorded)
    const { ip } = recorded
    if (ip === null || 'ips' in judgeAddresses([ip], port, NO_ADDRESS_RULES, [])) return
    const known = this.#addresses.get(destination) ?? new Set()
    this.#addresses.set(destination, known.add(ip))
  }

  #use(agent: Peer, recorded: EgressCase): void {
    if (!this.#concerns(agent)) return
    const { host, port, request } = recorded.question
    const key = useKey(agent, host, port)
    const known = this.#uses.get(key) ?? newUse(agent, host, port)
    if (!this.#uses.has(key)) put(this.#uses, key, known)
    addRequest(known, request)
  }

  #addDelegation(recorded: DelegationCase): void {
    const { question, hop, chainTenants } = recorded
    const { caller, callee, method, withinChain } = question
    const key = delegationKey(question)
    if (recorded.code === 'MESH_POLICY_DENIED') put(this.#deniedCalls, `${key} ${method}`)
    if (!recorded.allowed) return
    if (!withinChain && !beginsNothing(method)) this.#originating.add(nameOf(caller))
    if (hop !== null)
      for (const one of chainTenants) this.#hops.set(one, Math.max(this.#hops.get(one) ?? 0, hop))
    if (!this.#concerns(caller) && !this.#concerns(callee)) return
    const known = this.#calls.get(key) ?? newDelegationUse(question)
    if (!this.#calls.has(key)) put(this.#calls, key, known)
    addCall(known, method)
  }

  #keptUses(): { readonly kept: EgressUse[]; readonly leftOut: number } {
    let leftOut = 0
    const kept = [...this.#uses].flatMap(([key, one]) => {
      const refused = this.#refusedAddresses.has(`${one.host} ${one.port}`)
      if (!this.#denied.has(key) && !refused) return [one]
      leftOut += one.count
      return []
    })
    return { kept, leftOut }
  }

  #keptCalls(): { readonly keptCalls: DelegationUse[]; readonly leftOutCalls: number } {
    let leftOutCalls = 0
    const keptCalls = [...this.#calls].flatMap(([key, one]) => {
      const isDenied = (method: string) => this.#deniedCalls.has(`${key} ${method}`)
      if (one.methods === null) {
        // a rule for any method, and deny rules beside it, where they can say what was refused
        const refusals = [...this.#deniedCalls].filter((call) => call.startsWith(`${key} `))
        const denied = refusals.map((call) => call.slice(key.length + 1))
        if (denied.every((method) => methodFault(method) === null)) return [{ ...one, denied }]
        leftOutCalls += 1
        return []
      }
      const methods = [...one.methods].filter((name) => !isDenied(name))
      if (methods.length !== one.methods.size) leftOutCalls += 1
      if (methods.length === 0) return []
      const denied = withImplied(methods)?.filter(isDenied) ?? []
      return [{ ...one, methods: new Set(methods), denied }]
    })
    return { keptCalls, leftOutCalls }
  }

  /** Hosts that no wildcard may cover. */
  #unwantedHosts(): string[] {
    const hidden = [
      ...this.#refusedAddresses,
      ...[...this.#denied].map((key) => key.slice(key.indexOf(' ') + 1)),
    ]
    return hidden.map((destination) => destination.split(' ')[0] ?? '')
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

/** Null when the defaults suffice. */
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
