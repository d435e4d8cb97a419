/** Validates the bytes of one policy file: returns a valid document, or every fault. */
import { isDnsLabel, nearest } from '@clawmesh/proto'
import type { z } from 'zod'
import type { PolicyFault } from './fault-shape.ts'
import { type GlobalDocument, globalSchema, type TenantDocument, tenantSchema } from './schema.ts'
import { type OtherFile, type SchemaFault, schemaFaults } from './schema-faults.ts'
import { MAX_RULES } from './schema-values.ts'
import { type JsonDocument, type JsonLimits, positionsIn, readStrictJson } from './strict-json.ts'
import { globalFaults, tenantFaults } from './tenant-faults.ts'

export const GLOBAL_FILE = '_global.json'
/** Maximum faults of one file; one more says how many were omitted. */
export const MAX_FAULTS = 100
const LIMITS: JsonLimits = Object.freeze({
  maxFaults: MAX_FAULTS + 1,
  maxItems: MAX_RULES,
  maxKeys: 100_000,
})

export type PolicyFile =
  | { readonly kind: 'tenant'; readonly file: string; readonly document: TenantDocument }
  | { readonly kind: 'global'; readonly file: string; readonly document: GlobalDocument }

export type FileReading = PolicyFile | BrokenFile

export interface BrokenFile {
  readonly kind: 'broken'
  readonly faults: readonly PolicyFault[]
}

const OF_ALL: OtherFile = { schema: globalSchema, name: GLOBAL_FILE }
const OF_TENANT: OtherFile = {
  schema: tenantSchema,
  name: 'the file of a tenant, such as acme.json',
}

export function readPolicyFile(file: string, bytes: Uint8Array): FileReading {
  const tenant = file.endsWith('.json') ? file.slice(0, -'.json'.length) : ''
  if (file !== GLOBAL_FILE && !isDnsLabel(tenant)) return broken(file, nameFault(file))
  const json = readStrictJson(bytes, LIMITS)
  const position = positionsIn(json.text)
  const locate = (fault: SchemaFault, offset: number): PolicyFault => ({
    file,
    pointer: fault.pointer,
    ...position(offset),
    message: fault.message,
  })
  const syntax = json.faults.map((fault) => locate(fault, fault.offset))
  if (json.value === undefined) return { kind: 'broken', faults: firstOf(syntax) }
  const judge = <T>(
    schema: z.ZodType<T>,
    other: OtherFile,
    between: readonly SchemaFault[],
    good: (document: T) => PolicyFile,
  ): FileReading => {
    const parsed = schema.safeParse(json.value)
    const shape = parsed.success
      ? []
      : schemaFaults(schema, parsed.error, json.value, MAX_FAULTS + 1, other)
    const found = [...shape, ...between.slice(0, MAX_FAULTS + 1)].map((fault) =>
      locate(fault, offsetOf(json, fault.pointer)),
    )
    if (parsed.success && found.length === 0 && syntax.length === 0) return good(parsed.data)
    return { kind: 'broken', faults: firstOf([...syntax, ...found]) }
  }
  return file === GLOBAL_FILE
    ? judge(globalSchema, OF_TENANT, globalFaults(json.value), (document) => ({
        kind: 'global',
        file,
        document,
      }))
    : judge(tenantSchema, OF_ALL, tenantFaults(json.value, tenant), (document) => ({
        kind: 'tenant',
        file,
        document,
      }))
}

export function broken(file: string, message: string): BrokenFile {
  const fault: PolicyFault = { file, pointer: '', line: null, column: null, message }
  return { kind: 'broken', faults: [fault] }
}

/** For a missing key, the place of the object that lacks it. */
function offsetOf(json: JsonDocument, pointer: string): number {
  const offset = json.offsets.get(pointer)
  if (offset !== undefined || pointer === '') return offset ?? 0
  return offsetOf(json, pointer.slice(0, pointer.lastIndexOf('/')))
}

/** Sorted by place. A file made to have faults everywhere must not fill a log. */
function firstOf(faults: readonly PolicyFault[]): PolicyFault[] {
  const sorted = faults.toSorted(byPosition)
  const shown = sorted.slice(0, MAX_FAULTS)
  const [next] = sorted.slice(MAX_FAULTS)
  if (next === undefined) return shown
  return [
    ...shown,
    { ...next, pointer: '', message: `more than ${MAX_FAULTS} faults; these are the first` },
  ]
}

function byPosition(a: PolicyFault, b: PolicyFault): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

function nameFault(file: string): string {
  if (file.startsWith('_') && nearest(file, [GLOBAL_FILE]) !== null)
    return `unknown file; did you mean ${GLOBAL_FILE}`
  return `is named after no tenant; files are TENANT.json, a lower-case DNS label, or ${GLOBAL_FILE}`
}
