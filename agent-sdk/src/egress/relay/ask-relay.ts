/** Asks what listens on a relay's port whether it is the relay, without showing it the secret. */
import { connect } from 'node:net'
import type { Secret } from '@clawmesh/proto'
import type { ListenAddress } from '../../model/listen-address.ts'
import {
  ASK_FIELD,
  askWith,
  isProofOfAnswer,
  PROOF_FIELD,
  type RelayFault,
  type RelayStatus,
  STATUS_TARGET,
} from './relay-status.ts'

/** `stranger`: something listens there that does not have this secret. `silent`: it accepts, and says nothing. */
export type RelayFound =
  | { readonly kind: 'relay'; readonly status: RelayStatus }
  | { readonly kind: 'nobody' | 'stranger' | 'silent' }

const ANSWER_MS = 10_000
const MAX_ANSWER_BYTES = 16_384

/** Never throws: what goes wrong is an answer too. */
export async function askRelay(
  { host, port }: ListenAddress,
  secret: Secret<string>,
  withinMs = ANSWER_MS,
): Promise<RelayFound> {
  const { nonce, ask } = askWith(secret)
  const request = `GET ${STATUS_TARGET} HTTP/1.1\r\nhost: relay\r\n${ASK_FIELD}: ${ask}\r\nconnection: close\r\n\r\n`
  const answer = await exchange({ host, port }, request, withinMs)
  if (typeof answer !== 'string') return answer
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2)
  const [, proof] = new RegExp(`\\r\\n${PROOF_FIELD}: ([0-9a-f]{64})`, 'i').exec(head) ?? []
  const status = proof !== undefined && isProofOfAnswer(proof, secret, nonce, body) && parse(body)
  return status ? { kind: 'relay', status } : { kind: 'stranger' }
}

function exchange(
  to: ListenAddress,
  request: string,
  withinMs: number,
): Promise<string | RelayFound> {
  return new Promise((resolve) => {
    let text = ''
    let connected = false
    const socket = connect(to)
    const end = (found: string | RelayFound) => {
      clearTimeout(timer)
      resolve(found)
      socket.destroy()
    }
    const timer = setTimeout(() => end({ kind: connected ? 'silent' : 'nobody' }), withinMs)
    socket.on('connect', () => {
      connected = true
      socket.write(request, 'latin1')
    })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.length > MAX_ANSWER_BYTES) end({ kind: 'stranger' })
    })
    socket.on('error', () => end({ kind: connected ? 'stranger' : 'nobody' }))
    socket.on('close', () => end(text))
  })
}

/** It has the secret, and may still be of another version. */
function parse(body: string): RelayStatus | null {
  try {
    const given: unknown = JSON.parse(body)
    const text = (name: string) => String(Reflect.get(Object(given), name) ?? '')
    const count = (name: string) => Number(Reflect.get(Object(given), name) ?? 0)
    return {
      agent: text('agent'),
      egress: text('egress'),
      gateway: text('gateway'),
      pid: count('pid'),
      sinceMs: count('sinceMs'),
      connections: count('connections'),
      denied: count('denied'),
      fault: parseFault(Reflect.get(Object(given), 'fault')),
    }
  } catch {
    // the proof is good, so the relay is; what it says is not for this version
    return null
  }
}

function parseFault(given: unknown): RelayFault | null {
  if (typeof given !== 'object' || given === null) return null
  const text = (name: string) => String(Reflect.get(given, name) ?? '')
  return { code: text('code'), message: text('message'), hint: text('hint') }
}
