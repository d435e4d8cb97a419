/**
 * Work with a token that is waited for, for commands: a process for each piece of work, which is ended when it does not
 * answer.
 */
import { spawnSync } from 'node:child_process'
import { createPublicKey, hash, type KeyObject, randomBytes, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { MeshError } from '../mesh-error.ts'
import { Secret } from '../secret.ts'
import type { KeyId, TokenUri } from './key-uri.ts'
import {
  parseAnswer,
  silentToken,
  type TokenSettings,
  type TokenWork,
  tokenFault,
} from './token-protocol.ts'

export interface TokenOnce {
  /** ES256: 64 bytes. Proven with the public key. @throws MeshError MESH_HSM_* */
  sign(id: KeyId, publicKey: KeyObject, data: Uint8Array): Buffer
  /** Makes a P-256 key that never leaves the token. @throws MeshError MESH_HSM_* */
  generate(label: string): { readonly id: KeyId; readonly publicKey: KeyObject }
  /** Does nothing when there is no such key. @throws MeshError MESH_HSM_* */
  destroy(id: KeyId): void
}

const ID_BYTES = 16
const MAX_PIN_BYTES = 1024
const ANSWER_MS = 15_000

/** @param library path of the package pkcs11js, or its name */
export function tokenOnce(uri: TokenUri, library: string, answerMs = ANSWER_MS): TokenOnce {
  const ask = (work: TokenWork, writes: boolean) => askOnce(uri, library, work, writes, answerMs)
  return {
    sign(id, publicKey, data) {
      const digest = hash('sha256', data, 'base64')
      const signature = Buffer.from(
        ask({ op: 'sign', id, digest }, false).signature ?? '',
        'base64',
      )
      if (isSignature(signature, publicKey, data)) return signature
      throw otherKey(uri)
    },
    generate(label) {
      const id = randomBytes(ID_BYTES).toString('hex')
      const { spki = '' } = ask({ op: 'generate', id, label }, true)
      const key = Buffer.from(spki, 'base64')
      return { id, publicKey: createPublicKey({ key, format: 'der', type: 'spki' }) }
    },
    destroy: (id) => void ask({ op: 'destroy', id }, true),
  }
}

export function isSignature(signature: Buffer, publicKey: KeyObject, data: Uint8Array): boolean {
  const options = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const
  return signature.length === 64 && verify('sha256', data, options, signature)
}

export function otherKey({ token }: TokenUri): MeshError {
  return new MeshError('MESH_HSM_INVALID', `the token ${token} signs with another key`)
}

/** Without its line end. @throws MeshError MESH_HSM_PIN_MISSING */
export function readPin(path: string): Secret {
  try {
    const bytes = readFileSync(path)
    const pin = bytes.length > MAX_PIN_BYTES ? '' : bytes.toString('utf8').replace(/\r?\n$/, '')
    if (pin !== '') return new Secret(pin)
  } catch (cause) {
    throw new MeshError('MESH_HSM_PIN_MISSING', `the PIN cannot be read from ${path}`, { cause })
  }
  throw new MeshError('MESH_HSM_PIN_MISSING', `there is no PIN in ${path}`)
}

/** The program of the other process, beside this file. */
export function tokenProgram(): string {
  return join(import.meta.dirname, `token-process${extname(import.meta.filename)}`)
}

function askOnce(
  uri: TokenUri,
  library: string,
  work: TokenWork,
  writes: boolean,
  answerMs: number,
): Readonly<Record<string, string>> {
  const { token, modulePath } = uri
  const pin = readPin(uri.pinFile).reveal()
  const settings: TokenSettings = { library, modulePath, token, pin, writes }
  const lines = [
    { n: 0, settings },
    { n: 1, ...work },
  ]
  const { stdout, error, stderr } = spawnSync(process.execPath, [tokenProgram()], {
    input: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    timeout: answerMs,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  })
  const answers = (stdout ?? '').split('\n').flatMap((line) => parseAnswer(line) ?? [])
  for (const { error: refused } of answers)
    if (refused !== undefined) throw tokenFault(token, refused)
  const done = answers.find(({ n }) => n === 1)?.ok
  if (done !== undefined) return done
  if (error !== undefined) throw silentToken(token, answerMs)
  throw tokenFault(token, { kind: 'token', message: (stderr.split('\n')[0] ?? '').slice(0, 300) })
}
