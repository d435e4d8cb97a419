/** The value types of policy files, each with its error message. */
import { z } from 'zod'
import { parseCidr } from '../../net/cidr.ts'
import { parseHostPattern } from '../../net/host-pattern.ts'
import { parsePathGlob } from '../compile/path-glob.ts'
import { methodFault, parseSelector } from '../compile/selector.ts'

/** Maximum entries of one list. */
export const MAX_RULES = 10_000

export const hostPattern = text((value) => {
  const parsed = parseHostPattern(value)
  return typeof parsed === 'string' ? parsed : null
}).meta({
  description:
    'A host, `*.` and a host (any depth below it, not itself), or an IP address; optionally `:port`',
  examples: ['api.example.com', '*.example.com', 'api.example.com:8443', '[2001:db8::1]:443'],
})
export const pathGlob = text((value) => {
  const parsed = parsePathGlob(value)
  return typeof parsed === 'string' ? parsed : null
}).meta({
  description: 'A path: `*` is anything within a segment, `**` anything at all',
  examples: ['/repos/acme/**'],
})
export const cidr = text((value) => {
  const parsed = parseCidr(value)
  return typeof parsed === 'string' ? parsed : null
}).meta({ description: 'An address range', examples: ['10.20.0.0/16', 'fd00:20::/32'] })
export const selector = text((value) => {
  const parsed = parseSelector(value)
  return typeof parsed === 'string' ? parsed : null
}).meta({
  description: 'An agent: `name`, `*`, `tenant/name` or `tenant/*`',
  examples: ['planner', '*', 'globex/translator', 'globex/*'],
})
export const rpcMethod = text(methodFault).meta({
  description: 'A gRPC method: `*`, `package.Service/*` or `package.Service/Method`',
  examples: ['clawmesh.delegation.v1.DelegationService/*'],
})
export const httpMethod = text(httpMethodFault).meta({
  description: 'An HTTP method, upper case',
  examples: ['GET', 'POST'],
})

export const count = z.int().min(1).max(1_000_000_000)
export const hops = z.int().min(0).max(64)
export const port = z.int().min(1).max(65_535)
export const mode = z.enum(['enforce', 'audit']).meta({
  description:
    'audit lets through what no rule allows, and records what enforce would have done; deny rules hold in both',
})
export const schemaKey = z.string().max(2048).meta({ description: 'For editors; not read' })

/** A string that is valid when `fault` returns null. */
export function text(fault: (value: string) => string | null) {
  return z.string().check((context) => {
    const what = fault(context.value)
    if (what !== null)
      context.issues.push({
        code: 'custom',
        message: `${JSON.stringify(context.value.slice(0, 80))} ${what}`,
        input: context.value,
      })
  })
}

export function list<T extends z.ZodType>(item: T) {
  return z.array(item).max(MAX_RULES)
}

function httpMethodFault(value: string): string | null {
  if (value === '*') return 'is not a method; without methods any is allowed'
  if (value === 'CONNECT') return 'opens a tunnel, whose methods nobody sees; write the host alone'
  if (/^[A-Z]+(?:-[A-Z]+)*$/.test(value)) return null
  const upper = value.toUpperCase()
  return /^[A-Z]+$/.test(upper) ? `is not upper case; write ${upper}` : 'is not an HTTP method'
}
