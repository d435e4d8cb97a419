/** A refusal or failure as a value: its gate, its code, and its rule. */
import { type ErrorCode, MeshError, type MeshErrorOptions } from '@clawmesh/proto'

/** The gates, in their order. */
export type Gate =
  | 'syntax'
  | 'gateway'
  | 'credential'
  | 'policy'
  | 'limits'
  | 'resolve'
  | 'address'
  | 'dial'
  | 'tls'
  | 'upstream'
  | 'client'

export class Refused {
  readonly gate: Gate
  readonly error: MeshError
  readonly rule: string | null

  constructor(gate: Gate, error: MeshError, rule: string | null = null) {
    this.gate = gate
    this.error = error
    this.rule = rule
  }
}

export interface RefuseOptions extends MeshErrorOptions {
  readonly message?: string
  readonly rule?: string | null
}

export function refuse(gate: Gate, code: ErrorCode, options: RefuseOptions = {}): Refused {
  const { message, rule = null, ...rest } = options
  return new Refused(gate, new MeshError(code, message, rest), rule)
}
