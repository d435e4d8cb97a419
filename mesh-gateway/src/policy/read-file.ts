/** The bytes of one policy file, judged: a document that is right throughout, or every fault there is. */
import { isDnsLabel } from '@clawmesh/proto'
import type { z } from 'zod'
import type { PolicyFault } from './fault.ts'
import { nearest } from './nearest.ts'
import { type GlobalDocument, globalSchema, type TenantDocument, tenantSchema } from './schema.ts'
import { type SchemaFault, schemaFaults } from './schema-faults.ts'
import { type JsonDocument, positionAt, readStrictJson } from './strict-json.ts'
import { globalFaults, tenantFaults } from './tenant-faults.ts'

export const GLOBAL_FILE = '_global.json'

export type PolicyFile =
  | { readonly kind: 'tenant'; readonly file: string; readonly document: TenantDocument }
  | { readonly kind: 'global'; readonly file: string; readonly document: GlobalDocument }

export type FileReading =
  | PolicyFile
  | { readonly kind: 'broken'; readonly faults: readonly PolicyFault[] }

export function readPolicyFile(file: string, bytes: Uint8Array): FileReading {
  const tenant = file.endsWith('.json') ? file.slice(0, -'.json'.length) : ''
  if (file !== GLOBAL_FILE && !isDnsLabel(tenant)) return broken(file, nameFault(file))
  const json = readStrictJson(bytes)
  const syntax = json.faults.map((fault) => locate(file, json, fault, fault.offset))
  if (json.value === undefined) return { kind: 'broken', faults: syntax }
  return file === GLOBAL_FILE
    ? judge(file, json, syntax, globalSchema, globalFaults(json.value), (document) => ({
        kind: 'global',
        file,
        document,
      }))
    : judge(file, json, syntax, tenantSchema, tenantFaults(json.value, tenant), (document) => ({
        kind: 'tenant',
        file,
        document,
      }))
}

export function broken(file: string, message: string): FileReading {
  const fault: PolicyFault = { file, pointer: '', line: null, column: null, message }
  return { kind: 'broken', faults: [fault] }
}

function judge<T>(
  file: string,
  json: JsonDocument,
  syntax: readonly PolicyFault[],
  schema: z.ZodType<T>,
  between: readonly SchemaFault[],
  good: (document: T) => PolicyFile,
): FileReading {
  const parsed = schema.safeParse(json.value)
  const shape = parsed.success ? [] : schemaFaults(schema, parsed.error, json.value)
  const found = [...shape, ...between].map((fault) =>
    locate(file, json, fault, offsetOf(json, fault.pointer)),
  )
  if (parsed.success && found.length === 0 && syntax.length === 0) return good(parsed.data)
  const faults = [...syntax, ...found].sort(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  )
  return { kind: 'broken', faults }
}

/** Of a key that is missing, the place of the object that lacks it. */
function offsetOf(json: JsonDocument, pointer: string): number {
  const offset = json.offsets.get(pointer)
  if (offset !== undefined || pointer === '') return offset ?? 0
  return offsetOf(json, pointer.slice(0, pointer.lastIndexOf('/')))
}

function locate(file: string, json: JsonDocument, fault: SchemaFault, offset: number): PolicyFault {
  const { line, column } = positionAt(json.text, offset)
  return { file, pointer: fault.pointer, line, column, message: fault.message }
}

function nameFault(file: string): string {
  if (file.startsWith('_') && nearest(file, [GLOBAL_FILE]) !== null)
    return `unknown file; did you mean ${GLOBAL_FILE}`
  return `is named after no tenant; files are TENANT.json, a lower-case DNS label, or ${GLOBAL_FILE}`
}
