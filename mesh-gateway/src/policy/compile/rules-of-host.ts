/**
 * The rules of one list for one host, or for all hosts below it. Many rules are found by look-up and by one walk over
 * the path, so that the cost of a decision does not grow with their number. The result is always the first matching
 * rule, in the order of policy.
 */

import {
  formatHostPattern,
  type HostPattern,
  portMatches,
  usualPort,
} from '../../net/host-pattern.ts'
import type { Steps } from '../../process/in-slices.ts'
import type { AskedRequest } from '../decide/asked-request.ts'
import type { PathGlob } from './path-glob.ts'
import type { PathTrie } from './path-node.ts'
import { addGlob, findInTrie, pathTrie } from './path-trie.ts'

export interface HostRule {
  /** `acme.json#/egress/allow/0` */
  readonly id: string
  /** The pattern in the notation of policy. */
  readonly text: string
  readonly pattern: HostPattern
  /** Null: any. */
  readonly methods: ReadonlySet<string> | null
  /** Null: any. */
  readonly paths: readonly PathGlob[] | null
  /** The protocol to the destination in relay form. */
  readonly scheme: Scheme
  /** A ClientHello without a server name passes, unless the global policy refuses it. */
  readonly withoutServerName: boolean
}

export interface HostRuleOptions {
  /** Default any. */
  readonly methods?: readonly string[] | null
  /** Default any. */
  readonly paths?: readonly PathGlob[] | null
  /** Default https. */
  readonly scheme?: Scheme
  /** Default false. */
  readonly withoutServerName?: boolean
}

export type Scheme = 'https' | 'http'

export interface RulesOfHost {
  /** In the order of policy; at least one. */
  readonly rules: readonly HostRule[]
  /** By port, NO_PORT for rules without one. Null while there are few rules. */
  readonly byPort: ReadonlyMap<number, RulesOfPort> | null
  /** The paths of rules that have some. Null when none has. */
  readonly paths: PathTrie | null
}

/** Indexes into the list of rules. */
interface RulesOfPort {
  readonly first: number
  /** The first rule without methods and paths. */
  any: number
  /** By method, the first rule without paths. */
  readonly methods: Map<string, number>
}

const FEW = 4
/** Globs, or rules, between two pauses. */
const STRIDE = 16
const NO_PORT = 0
const NONE = Number.POSITIVE_INFINITY

export function hostRule(
  id: string,
  pattern: HostPattern,
  options: HostRuleOptions = {},
): HostRule {
  const { methods = null, paths = null, scheme = 'https', withoutServerName = false } = options
  const text = formatHostPattern(pattern)
  const set = methods === null ? null : new Set(methods)
  return Object.freeze({ id, text, pattern, methods: set, paths, scheme, withoutServerName })
}

/** @param rules at least one, in the order of policy */
export function* rulesOfHostInSteps(rules: readonly HostRule[]): Steps<RulesOfHost> {
  let paths: PathTrie | null = null
  let globs = 0
  for (const [place, rule] of rules.entries())
    for (const glob of rule.paths ?? []) {
      paths ??= pathTrie()
      addGlob(paths, glob, place)
      globs += 1
      if (globs % STRIDE === 0) yield
    }
  return { rules, byPort: rules.length > FEW ? yield* indexByPort(rules) : null, paths }
}

/** The first rule that allows the request. */
export function firstAllowing(of: RulesOfHost, asked: AskedRequest): HostRule | null {
  const open = firstWithoutPaths(of, asked)
  const { rules, paths } = of
  const path = paths === null ? null : asked.path
  const found =
    paths === null || path === null ? open : firstByPath(rules, paths, path, open, asked)
  return found === NONE ? null : (rules[found] ?? null)
}

/** Its index; `open` when none comes before that. A function of its own, so that most decisions create no closure. */
function firstByPath(
  rules: readonly HostRule[],
  paths: PathTrie,
  path: string,
  open: number,
  asked: AskedRequest,
): number {
  const fits = (place: number) => {
    const rule = rules[place]
    return rule !== undefined && fitsCall(rule, asked)
  }
  return findInTrie(paths, path, open, fits, asked.budget)
}

/** The first rule of a deny list for the port: a rule without a port is for all. */
export function firstDenying({ rules, byPort }: RulesOfHost, port: number): HostRule | null {
  if (byPort === null) {
    for (const rule of rules)
      if (rule.pattern.port === null || rule.pattern.port === port) return rule
    return null
  }
  return rules[Math.min(firstOf(byPort, NO_PORT), firstOf(byPort, port))] ?? null
}

/** The first rule of an allow list for the port, with any methods and paths. */
export function firstForPort({ rules, byPort }: RulesOfHost, port: number): HostRule | null {
  if (byPort === null) return rules.find(({ pattern }) => portMatches(pattern, port)) ?? null
  const unnamed = usualPort(port) ? firstOf(byPort, NO_PORT) : NONE
  return rules[Math.min(unnamed, firstOf(byPort, port))] ?? null
}

/** Its index, or NONE. */
function firstWithoutPaths({ rules, byPort }: RulesOfHost, asked: AskedRequest): number {
  if (byPort === null) {
    for (let place = 0; place < rules.length; place += 1) {
      const rule = rules[place]
      if (rule?.paths === null && fitsCall(rule, asked)) return place
    }
    return NONE
  }
  const { port, method } = asked
  const named = openAt(byPort.get(port), method)
  return usualPort(port) ? Math.min(named, openAt(byPort.get(NO_PORT), method)) : named
}

function openAt(there: RulesOfPort | undefined, method: string | null): number {
  if (there === undefined) return NONE
  return Math.min(there.any, method === null ? NONE : (there.methods.get(method) ?? NONE))
}

function fitsCall({ pattern, methods }: HostRule, { port, method }: AskedRequest): boolean {
  return (
    portMatches(pattern, port) && (methods === null || (method !== null && methods.has(method)))
  )
}

function firstOf(byPort: ReadonlyMap<number, RulesOfPort>, key: number): number {
  return byPort.get(key)?.first ?? NONE
}

function* indexByPort(rules: readonly HostRule[]): Steps<Map<number, RulesOfPort>> {
  const byPort = new Map<number, RulesOfPort>()
  for (const [place, { pattern, methods, paths }] of rules.entries()) {
    const key = pattern.port ?? NO_PORT
    const there = byPort.get(key) ?? { first: place, any: NONE, methods: new Map() }
    byPort.set(key, there)
    if (place % STRIDE === STRIDE - 1) yield
    if (paths !== null) continue
    if (methods === null) there.any = Math.min(there.any, place)
    else for (const one of methods) if (!there.methods.has(one)) there.methods.set(one, place)
  }
  return byPort
}
