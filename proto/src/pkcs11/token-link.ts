/**
 * A lasting link to a token, for a gateway: one process that is logged in. When it does not answer it is ended, requests
 * fail at once, and from time to time one is tried again. A PIN that was refused is not tried again until its file has
 * changed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { hash, type KeyObject } from 'node:crypto'
import { createInterface } from 'node:readline'
import { MeshError } from '../mesh-error.ts'
import type { KeyId, TokenUri } from './key-uri.ts'
import { isSignature, otherKey, readPin, tokenProgram } from './token-once.ts'
import {
  parseAnswer,
  silentToken,
  type TokenAnswer,
  type TokenSettings,
  tokenFault,
} from './token-protocol.ts'

export interface TokenLinkOptions {
  readonly uri: TokenUri
  /** Path of the package pkcs11js, or its name. */
  readonly library: string
  /** How long an answer may take, in milliseconds. Default 5,000. */
  readonly answerMs?: number
  /** How long after a failure the token is tried again, in milliseconds. Default 5,000. */
  readonly retryMs?: number
  /** Requests that may wait for the token, which answers one after the other; more are refused at once. Default 512. */
  readonly maxWaiting?: number
}

export interface TokenLink {
  /** ES256: 64 bytes, proven with the public key. @throws MeshError MESH_HSM_* */
  sign(id: KeyId, publicKey: KeyObject, data: Uint8Array): Promise<Buffer>
  /** Why the token cannot be used; null while it can. */
  problem(): string | null
  close(): Promise<void>
}

interface Waiting {
  resolve(answer: Readonly<Record<string, string>>): void
  reject(error: MeshError): void
}

const ANSWER_MS = 5_000
const RETRY_MS = 5_000
const MAX_WAITING = 512

export function openTokenLink(options: TokenLinkOptions): TokenLink {
  return new Link(options)
}

class Link implements TokenLink {
  readonly #options: TokenLinkOptions
  readonly #answerMs: number
  readonly #waiting = new Map<number, Waiting>()
  #child: ChildProcess | null = null
  #n = 0
  #failure: MeshError | null = null
  #triedAtMs = 0
  #refusedPin: string | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(options: TokenLinkOptions) {
    this.#options = options
    this.#answerMs = options.answerMs ?? ANSWER_MS
  }

  async sign(id: KeyId, publicKey: KeyObject, data: Uint8Array): Promise<Buffer> {
    const digest = hash('sha256', data, 'base64')
    const { uri, maxWaiting = MAX_WAITING } = this.#options
    if (this.#waiting.size >= maxWaiting)
      throw tokenFault(uri.token, {
        kind: 'token',
        message: `${maxWaiting} requests wait for it already`,
      })
    this.#ready()
    const { signature = '' } = await this.#ask({ op: 'sign', id, digest })
    const bytes = Buffer.from(signature, 'base64')
    this.#failure = isSignature(bytes, publicKey, data) ? null : otherKey(uri)
    if (this.#failure !== null) throw this.#failure
    return bytes
  }

  problem(): string | null {
    return this.#failure?.message ?? null
  }

  async close(): Promise<void> {
    this.#end(tokenFault(this.#options.uri.token, { kind: 'token', message: 'it was closed' }))
  }

  /** Starts the process, if need be and if it may be tried again. @throws MeshError MESH_HSM_* */
  #ready(): void {
    if (this.#child !== null) return
    const { uri, library, retryMs = RETRY_MS } = this.#options
    if (this.#failure !== null && performance.now() - this.#triedAtMs < retryMs) throw this.#failure
    this.#triedAtMs = performance.now()
    try {
      const pin = readPin(uri.pinFile).reveal()
      const mark = hash('sha256', pin, 'hex')
      if (mark === this.#refusedPin && this.#failure !== null) throw this.#failure
      this.#start({ library, ...uri, pin, writes: false }, mark)
    } catch (error) {
      const { token } = uri
      const message = `its process cannot be started (${wordOf(error)})`
      this.#failure =
        error instanceof MeshError ? error : tokenFault(token, { kind: 'token', message })
      throw this.#failure
    }
  }

  #start(settings: TokenSettings, mark: string): void {
    const child: ChildProcess = spawn(process.execPath, [tokenProgram()], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.#child = child
    const ended = (message: string) => {
      if (this.#child === child) this.#end(tokenFault(settings.token, { kind: 'token', message }))
    }
    // first of all: without file descriptors it has no pipes, and this error alone
    child
      .once('error', (error) => ended(`its process cannot be started (${wordOf(error)})`))
      .once('exit', () => ended('its module crashed'))
    child.unref()
    child.stdin?.on('error', () => {
      // its end is reported by `exit`
    })
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) =>
        this.#answered(parseAnswer(line)),
      )
    this.#ask({ settings }).catch((error: unknown) => {
      if (!(error instanceof MeshError)) return
      if (error.code === 'MESH_HSM_PIN') this.#refusedPin = mark
      this.#end(error)
    })
  }

  #ask(request: object): Promise<Readonly<Record<string, string>>> {
    const n = this.#n
    this.#n += 1
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve, reject })
      this.#child?.stdin?.write(`${JSON.stringify({ n, ...request })}\n`)
      this.#child?.ref()
      // of the oldest request: the process answers one after the other
      this.#timer ??= setTimeout(() => this.#silent(), this.#answerMs)
    })
  }

  #answered(answer: TokenAnswer | null): void {
    const waiting = answer === null ? undefined : this.#waiting.get(answer.n)
    if (answer === null || waiting === undefined) return
    this.#waiting.delete(answer.n)
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => this.#silent(), this.#answerMs)
    else this.#child?.unref()
    if (answer.ok !== undefined) {
      waiting.resolve(answer.ok)
      return
    }
    const fault = tokenFault(this.#options.uri.token, answer.error ?? NO_REASON)
    // a session, and what a module knows of the keys, may be lost with the token: the next request begins anew
    this.#end(fault)
    waiting.reject(fault)
  }

  #silent(): void {
    this.#end(silentToken(this.#options.uri.token, this.#answerMs))
  }

  #end(failure: MeshError): void {
    this.#failure = failure
    clearTimeout(this.#timer)
    this.#timer = undefined
    const child = this.#child
    this.#child = null
    child?.kill('SIGKILL')
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const one of waiting) one.reject(failure)
  }
}

const NO_REASON = Object.freeze({ kind: 'token', message: 'it gave no reason' } as const)

function wordOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
