/** The signing key of a gateway under attack, as somebody has it who copied its directory: what it signs is still held to all rules. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Mesh } from '../../test/support/mesh.ts'
import { isRecord } from '../dev/message.ts'
import { readText } from './attacked-mesh.ts'

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

const COMMAND = fileURLToPath(new URL('../../node_modules/.bin/mesh-gateway', import.meta.url))

export async function signingKey(mesh: Mesh): Promise<SigningKey> {
  const ring: unknown = JSON.parse(await readText(mesh, 'keys', 'ring.json'))
  const keys: readonly unknown[] = isRecord(ring) && Array.isArray(ring.keys) ? ring.keys : []
  const active = keys.find((one) => isRecord(one) && one.role === 'active')
  assert.ok(isRecord(active) && typeof active.kid === 'string', 'no key is active')
  const privateKey = createPrivateKey(await readText(mesh, 'keys', `${active.kid}.pem`))
  return { kid: active.kid, privateKey, publicKey: createPublicKey(privateKey) }
}

/** A good egress token of agent acme/attacker, as an operator issues it. */
export async function issueToken(mesh: Mesh): Promise<string> {
  const args = ['issue-token', '--config', mesh.gateway.configFile]
  const { stdout } = await promisify(execFile)(COMMAND, [
    ...args,
    ...['--agent-id', 'attacker', '--tenant', 'acme'],
  ])
  return stdout.trim()
}
