/** Compiles valid policy documents into the snapshot on which decisions are made. Pure. */

import { compileAddressRules } from '../../net/address-rules.ts'
import { atOneGo, type Steps } from '../../process/in-slices.ts'
import { GLOBAL_FILE, type PolicyFile } from '../read/read-file.ts'
import type { GlobalDocument, TenantDocument } from '../read/schema.ts'
import type { GlobalPolicy, PolicySnapshot, TenantPolicy } from '../snapshot.ts'
import { compileDelegation, delegationRules } from './compile-delegation.ts'
import { compileEgress, denyRules } from './compile-egress.ts'
import { hostTableInSteps } from './host-table.ts'
import { ruleTableInSteps } from './rule-table.ts'

const DEFAULT_PORTS: readonly number[] = [80, 443]
const TLS_PORTS: readonly number[] = [443]

export type CompiledFile =
  | { readonly kind: 'tenant'; readonly file: string; readonly policy: TenantPolicy }
  | { readonly kind: 'global'; readonly file: string; readonly policy: GlobalPolicy }

/** @throws TypeError when the document has not been through readPolicyFile */
export function* compileInSteps(read: PolicyFile): Steps<CompiledFile> {
  const { file } = read
  return read.kind === 'global'
    ? Object.freeze({ kind: 'global', file, policy: yield* compileGlobal(read.document) })
    : Object.freeze({ kind: 'tenant', file, policy: yield* compileTenant(file, read.document) })
}

/** The same without pauses. @throws TypeError as compileInSteps does */
export function compileFile(read: PolicyFile): CompiledFile {
  return atOneGo(compileInSteps(read))
}

/** Compiles all files. @throws TypeError as compileFile does */
export function compilePolicy(files: readonly PolicyFile[], generation: number): PolicySnapshot {
  return assemblePolicy(files.map(compileFile), generation)
}

/** @param broken names of files that exist and are not in force */
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

/** @param files e.g. `acme.json` of acme */
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
      noServerName: egress.tls?.noServerName ?? 'by-rule',
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
