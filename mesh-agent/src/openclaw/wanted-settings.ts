/** What OpenClaw's configuration has to say for its way out to lead through the relay, and for the plugin to run. */
import { type Json, valueAt } from './json5-text.ts'

export const PLUGIN = 'clawmesh'
/** The relay takes any name; this one says in a log whose it is. */
const USER = 'openclaw'

/** What setup is told, or finds in the plugin's entry. */
export interface MeshSettings {
  /** An absolute path. */
  readonly identity: string
  readonly gateway: string
  readonly egress: string
  /** Of the relay: host:port. */
  readonly listen: string
  readonly secretFile: string
}

export interface Setting {
  readonly path: readonly string[]
  readonly value: Json
  /** Added to a list rather than put in the place of one. */
  readonly append?: true
}

export function proxyUrlOf(listen: string, secret: string): string {
  return `http://${USER}:${secret}@${listen}`
}

/** @param config as it is now */
export function wantedSettings(
  config: unknown,
  mesh: MeshSettings,
  secret: string,
  plugin: boolean,
): readonly Setting[] {
  const settings: Setting[] = [
    { path: ['proxy', 'proxyUrl'], value: proxyUrlOf(mesh.listen, secret) },
    { path: ['tools', 'web', 'fetch', 'useTrustedEnvProxy'], value: true },
  ]
  // it is on unless it is turned off
  if (valueAt(config, ['proxy', 'enabled']) === false)
    settings.push({ path: ['proxy', 'enabled'], value: true })
  return plugin ? [...settings, ...pluginSettings(config, mesh)] : settings
}

function pluginSettings(config: unknown, mesh: MeshSettings): Setting[] {
  const entry = ['plugins', 'entries', PLUGIN]
  const { gateway, identity, egress, listen, secretFile } = mesh
  const own = { gateway, identity, egress }
  const allow = valueAt(config, ['plugins', 'allow'])
  const settings: Setting[] = [
    { path: [...entry, 'enabled'], value: true },
    ...Object.entries(own).map(([key, value]) => ({ path: [...entry, 'config', key], value })),
    { path: [...entry, 'config', 'relay', 'listen'], value: listen },
    { path: [...entry, 'config', 'relay', 'secretFile'], value: secretFile },
  ]
  // an empty list, or none, lets all load
  if (Array.isArray(allow) && allow.length > 0 && !allow.includes(PLUGIN))
    settings.push({ path: ['plugins', 'allow'], value: PLUGIN, append: true })
  return settings
}

/** What the plugin's entry says; each may be missing. */
export function settingsIn(config: unknown): Partial<MeshSettings> {
  const entry = ['plugins', 'entries', PLUGIN, 'config']
  const found = {
    identity: valueAt(config, [...entry, 'identity']),
    gateway: valueAt(config, [...entry, 'gateway']),
    egress: valueAt(config, [...entry, 'egress']),
    listen: valueAt(config, [...entry, 'relay', 'listen']),
    secretFile: valueAt(config, [...entry, 'relay', 'secretFile']),
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => typeof value === 'string'))
}
