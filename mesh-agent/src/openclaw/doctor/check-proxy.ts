/** Does OpenClaw's configuration lead its way out through the relay? */
import { valueAt } from '../json5-text.ts'
import type { MeshSettings } from '../wanted-settings.ts'
import { type CheckResult, type Finding, result, SETUP } from './finding.ts'

/** @param secret null: it cannot be read, which another check says */
export function checkProxy(
  config: unknown,
  { listen }: Pick<MeshSettings, 'listen'>,
  secret: string | null,
): CheckResult {
  const proxyUrl = valueAt(config, ['proxy', 'proxyUrl'])
  const about = `proxy.proxyUrl leads to the relay at ${listen}`
  if (typeof proxyUrl !== 'string')
    return result('proxy', about, {
      code: 'proxy-not-set',
      what: 'proxy.proxyUrl is not set: OpenClaw connects to everything directly',
      todo: SETUP,
    })
  return result(
    'proxy',
    about,
    offOf(config),
    placeOf(proxyUrl, listen, secret),
    loopbackOf(config),
  )
}

function offOf(config: unknown): Finding | null {
  if (valueAt(config, ['proxy', 'enabled']) !== false) return null
  return {
    code: 'proxy-off',
    what: 'proxy.enabled is false: proxy.proxyUrl is kept, and not used',
    todo: SETUP,
  }
}

function placeOf(proxyUrl: string, listen: string, secret: string | null): Finding | null {
  const url = URL.canParse(proxyUrl) ? new URL(proxyUrl) : null
  const host = url === null ? 'no URL' : `${url.hostname}:${url.port || 80}`
  if (url?.protocol !== 'http:' || host !== listen)
    return {
      code: 'proxy-elsewhere',
      what: `proxy.proxyUrl leads to ${host}, and the relay is to listen on ${listen}`,
      todo: `${SETUP}, with --listen where the relay is elsewhere`,
    }
  if (secret === null || url.password === secret) return null
  return {
    code: 'proxy-secret-wrong',
    what: 'proxy.proxyUrl has another secret than the secret file of the relay: each request is refused with 407',
    todo: `${SETUP}; then restart OpenClaw`,
  }
}

function loopbackOf(config: unknown): Finding | null {
  const mode = valueAt(config, ['proxy', 'loopbackMode'])
  if (mode !== 'proxy')
    return {
      code: 'loopback-goes-direct',
      what: 'requests to localhost and 127.0.0.0/8 go direct, past relay and gateway, as OpenClaw has it',
      todo: 'nothing: keep services that agents must not reach off the loopback of this machine',
      note: true,
    }
  return {
    code: 'loopback-through-proxy',
    what: 'proxy.loopbackMode is "proxy": requests to this machine go to the gateway, which refuses them',
    todo: 'run `openclaw config set proxy.loopbackMode gateway-only` and restart OpenClaw',
  }
}

export function checkWebFetch(config: unknown): CheckResult {
  const about = 'web_fetch lets the gateway resolve names'
  const internal: Finding = {
    code: 'internal-names-refused',
    what: 'web_fetch refuses names that end in .internal before it asks any proxy',
    todo: 'use mesh_fetch for them',
    note: true,
  }
  if (valueAt(config, ['tools', 'web', 'fetch', 'useTrustedEnvProxy']) === true)
    return result('web_fetch', about, internal)
  return result('web_fetch', about, {
    code: 'trusted-proxy-off',
    what: 'tools.web.fetch.useTrustedEnvProxy is not true: web_fetch resolves names on this machine, and fails where they do not resolve here',
    todo: SETUP,
  })
}

/** With it on, tools are found by a search first. */
export function checkToolSearch(config: unknown): CheckResult {
  const search = valueAt(config, ['tools', 'toolSearch'])
  const off = search === false || valueAt(search, ['enabled']) === false
  const note: Finding = {
    code: 'tool-search-on',
    what: 'Tool Search is on: a model finds mesh_delegate by a search, and small models may not look for it',
    todo: 'if agents do not find the tools, run `openclaw config set tools.toolSearch false`',
    note: true,
  }
  return result('tool search', 'models see the tools of the mesh', off ? null : note)
}
