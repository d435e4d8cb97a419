/** Runs every check on OpenClaw's configuration and on what it needs. Reads and asks; changes nothing. */
import { createAgent, silentLog } from '@clawmesh/agent-sdk'
import { askRelay, loadIdentity, readRelaySecret, readTrustDomain } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, MeshError, type Secret } from '@clawmesh/proto'
import { addressOf } from '../../relay/run-relay.ts'
import { readOpenClawConfig } from '../setup.ts'
import type { MeshSettings } from '../wanted-settings.ts'
import { checkCertificate, checkGateway, checkWayOut } from './check-mesh.ts'
import { checkPlugin, readPlugin } from './check-plugin.ts'
import { checkProxy, checkToolSearch, checkWebFetch } from './check-proxy.ts'
import { checkRelay, checkSecret } from './check-relay.ts'
import { checkServedTools } from './check-served-tools.ts'
import { type CheckResult, result, SETUP } from './finding.ts'
import { tryWayOut } from './way-out.ts'

export interface ExamineOptions {
  readonly configFile: string
  readonly stateDir: string
  /** What is not known is not checked. */
  readonly mesh: Partial<MeshSettings> & Pick<MeshSettings, 'listen'>
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

export async function examineOpenClaw(options: ExamineOptions): Promise<CheckResult[]> {
  const { mesh, now = Date.now } = options
  const { identity, gateway, secretFile } = mesh
  const loaded = identity === undefined ? null : await orFault(() => load(identity))
  const secret = secretFile === undefined ? null : await orFault(() => readRelaySecret(secretFile))
  const known = secret === null || secret instanceof MeshError ? null : secret
  const results = await configChecks(options, known)
  if (identity !== undefined && loaded !== null)
    results.push(checkCertificate(identity, loaded, now()))
  if (
    identity !== undefined &&
    gateway !== undefined &&
    loaded !== null &&
    !(loaded instanceof MeshError)
  )
    results.push(checkGateway(gateway, await askGateway(identity, gateway)))
  if (secretFile !== undefined) results.push(checkSecret(secret, { secretFile }))
  if (known !== null) {
    const agent = loaded === null || loaded instanceof MeshError ? null : loaded.identity.id
    results.push(...(await relayChecks(mesh, known, agent, now)))
  }
  const missing = (['identity', 'gateway', 'egress', 'secretFile'] as const).filter(
    (name) => mesh[name] === undefined,
  )
  if (missing.length > 0)
    results.push(
      result('settings', 'which agent and gateway it is', {
        code: 'settings-missing',
        what: `neither options nor the plugin’s entry say: ${missing.join(', ')}`,
        todo: `${SETUP}, or give the options`,
      }),
    )
  return results
}

async function configChecks(
  { configFile, stateDir, mesh }: ExamineOptions,
  secret: Secret<string> | null,
): Promise<CheckResult[]> {
  const config = await orFault(() => readOpenClawConfig(configFile))
  if (config instanceof MeshError)
    return [
      result('config', configFile, {
        code: 'openclaw-config-unreadable',
        what: config.message,
        todo: config.hint,
      }),
    ]
  if (config === null)
    return [
      result('config', configFile, {
        code: 'openclaw-config-missing',
        what: 'the file does not exist: OpenClaw uses its defaults, and connects to everything directly',
        todo: `${SETUP}; where it is another file, name it with --config`,
      }),
    ]
  return [
    result('config', configFile),
    checkProxy(config, mesh, secret?.reveal() ?? null),
    checkWebFetch(config),
    checkPlugin(config, mesh, await readPlugin(config, stateDir)),
    checkServedTools(config),
    checkToolSearch(config),
  ].filter((check) => check !== null)
}

async function relayChecks(
  mesh: ExamineOptions['mesh'],
  secret: Secret<string>,
  agent: string | null,
  now: () => number,
): Promise<CheckResult[]> {
  const found = await askRelay(addressOf(mesh.listen), secret)
  if (found.kind !== 'relay') return [checkRelay(found, mesh, agent)]
  const way = await tryWayOut(mesh.listen, secret.reveal())
  // what the request has mended, or has found
  const after = await askRelay(addressOf(mesh.listen), secret)
  return [checkRelay(after, mesh, agent), checkWayOut(way, now())]
}

async function load(dir: string) {
  const trustDomain = await readTrustDomain(dir)
  return loadIdentity(dir, { spiffe: createSpiffeTemplate({ trustDomain }) })
}

async function askGateway(identity: string, gateway: string): Promise<string | MeshError> {
  return orFault(async () => {
    const agent = await createAgent({ identity, gateway, log: silentLog })
    try {
      return (await agent.whoAmI()).id
    } finally {
      await agent.close()
    }
  })
}

async function orFault<T>(ask: () => Promise<T>): Promise<T | MeshError> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  }
}
