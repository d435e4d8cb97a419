/** Reads the configuration of the plugin. All faults are told at once, each with the path of its key. */
import { reachOf } from '@clawmesh/agent/served-tools'
import { createFields, type Fields } from './fields.ts'
import type {
  CallerRule,
  MeshNames,
  PluginConfig,
  RelayConfig,
  ServedSkill,
} from './plugin-config.ts'

export type ReadConfig =
  | { readonly config: PluginConfig; readonly faults: null }
  | { readonly config: null; readonly faults: readonly string[] }

const ADDRESS = /^(?:\[[0-9a-fA-F:]+\]|[^\s:/[\]]+):\d{1,5}$/
const PEER = /^[A-Za-z0-9*](?:[A-Za-z0-9._*/-]{0,252})(?::\d{1,5})?$/
const CALLER =
  /^(?:\*|[A-Za-z0-9][A-Za-z0-9._-]*|[A-Za-z0-9][A-Za-z0-9._-]*\/(?:\*|[A-Za-z0-9][A-Za-z0-9._-]*))$/
const HOST = /^(?:\*|(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)(?::\d{1,5})?$/
const SKILL = /^[A-Za-z0-9._/-]{1,128}$/
/** One tool: a turn is held to names, so a group or a pattern would give nothing. */
const TOOL = /^[\w.-]{1,128}$/

const MINUTE_MS = 60_000
/** Above, OpenClaw ends the turn: its watchdog strikes after 15 minutes in one tool. */
export const LONGEST_WAIT_MS = 10 * MINUTE_MS
const LONGEST_TURN_MS = 24 * 60 * MINUTE_MS

export function readConfig(value: unknown): ReadConfig {
  const fields = createFields(value ?? {}, '')
  const egress = fields.optionalText('egress', /^https?:\/\/[^\s/@]+\/?$/, 'a URL of http or https')
  const config: PluginConfig = {
    gateway: fields.text('gateway', ADDRESS, 'host:port, e.g. 127.0.0.1:8443'),
    identity: fields.text('identity', /./, 'a directory with tls.crt, tls.key and ca.crt'),
    egress,
    names: readNames(fields),
    peers: fields.texts('peers', PEER, 'names of peers, e.g. researcher') ?? [],
    hosts: fields.texts('hosts', HOST, 'names of hosts, e.g. api.github.com'),
    waitMs: fields.duration('wait', { least: 0, most: LONGEST_WAIT_MS }) ?? LONGEST_WAIT_MS,
    tokenTtlMs:
      fields
        .section('token')
        ?.done((token) => token.duration('ttl', { least: MINUTE_MS, most: 60 * MINUTE_MS })) ??
      null,
    listen: fields.optionalText('listen', ADDRESS, 'host:port') ?? '127.0.0.1:7443',
    serve: readServe(fields),
    relay: fields.section('relay')?.done(readRelay) ?? null,
  }
  fields.end()
  return fields.faults.length === 0
    ? { config: Object.freeze(config), faults: null }
    : { config: null, faults: fields.faults }
}

function readNames(fields: Fields): MeshNames {
  const name = (key: string) => fields.optionalText(key, /^[A-Za-z0-9.-]+$/, 'a domain name')
  const [trustDomain, meshDomain, gatewayName] = [
    name('trustDomain'),
    name('meshDomain'),
    name('gatewayName'),
  ]
  return {
    ...(trustDomain === null ? {} : { trustDomain }),
    ...(meshDomain === null ? {} : { meshDomain }),
    ...(gatewayName === null ? {} : { gatewayName }),
  }
}

function readServe(fields: Fields): Readonly<Record<string, ServedSkill>> {
  const section = fields.section('serve')
  if (section === null) return {}
  const skills = section.keys().flatMap((name) => {
    if (!SKILL.test(name)) section.fault(name, 'is not the name of a skill')
    const skill = section.section(name)
    return skill === null ? [] : [[name, skill.done(readSkill)] as const]
  })
  section.end()
  return Object.fromEntries(skills)
}

function readSkill(fields: Fields): ServedSkill {
  const callers = fields.list('callers', readCaller)
  if (callers === null)
    fields.fault(
      'callers',
      'is missing: name the callers, e.g. ["planner"], or ["*"] for all that policy lets',
    )
  return {
    agent: fields.optionalText('agent', /^[\w-]{1,64}$/, 'the id of an agent, e.g. main') ?? 'main',
    description: fields.optionalText('description', /^[^\0]{1,1000}$/s, 'a text') ?? '',
    tools: readTools(fields) ?? [],
    callers: callers ?? [],
    concurrent: fields.count('concurrent', { least: 1, most: 100 }) ?? 2,
    timeoutMs:
      fields.duration('timeout', { least: 1_000, most: LONGEST_TURN_MS }) ?? 20 * MINUTE_MS,
  }
}

function readCaller(value: unknown, path: string, faults: string[]): CallerRule {
  const fields = createFields(typeof value === 'string' ? { caller: value } : value, path, faults)
  const caller = fields.text('caller', CALLER, 'planner, globex/translator, globex/* or *')
  const tools = readTools(fields)
  fields.end()
  return { caller, tools }
}

function readTools(fields: Fields): readonly string[] | null {
  const tools = fields.texts('tools', TOOL, 'names of single tools')
  for (const tool of tools ?? []) {
    const reach = reachOf(tool)
    if (reach?.refused === true)
      fields.fault('tools', `names ${tool}, which no caller can have: it ${reach.does}`)
  }
  return tools
}

function readRelay(fields: Fields): RelayConfig {
  return {
    listen: fields.optionalText('listen', ADDRESS, 'host:port') ?? '127.0.0.1:8081',
    secretFile: fields.optionalText('secretFile', /./, 'a file'),
  }
}
