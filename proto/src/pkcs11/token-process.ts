/**
 * Speaks PKCS #11, as a process of its own: a module may hang or crash, and then only this process does. Reads requests
 * as lines of JSON, the first one with the PIN, and answers each with a line. One login, never a second try.
 */
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import type { Pkcs11Library, Pkcs11Module } from './pkcs11-library.ts'
import type { TokenAnswer, TokenRequest, TokenSettings } from './token-protocol.ts'

/** DER of the identifier prime256v1. */
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
/** DER of a public key, up to the 65 bytes of its point. */
const SPKI_HEAD = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')
const POINT_BYTES = 65

class Refused extends Error {
  readonly kind: 'pin' | 'token' | 'key'

  constructor(kind: 'pin' | 'token' | 'key', message: string) {
    super(message)
    this.kind = kind
  }
}

interface OpenToken {
  readonly library: Pkcs11Library
  readonly module: Pkcs11Module
  readonly session: Buffer
}

function openToken(settings: TokenSettings): OpenToken {
  const library: Pkcs11Library = createRequire(import.meta.url)(settings.library)
  const module = new library.PKCS11()
  module.load(settings.modulePath)
  module.C_Initialize()
  const slot = module
    .C_GetSlotList(true)
    .find((one) => module.C_GetTokenInfo(one).label.trimEnd() === settings.token)
  if (slot === undefined) throw new Refused('token', `there is no token ${settings.token}`)
  const { flags } = module.C_GetTokenInfo(slot)
  if ((flags & (library.CKF_USER_PIN_LOCKED ?? 0x40000)) !== 0)
    throw new Refused('pin', 'the PIN is locked')
  if ((flags & (library.CKF_USER_PIN_FINAL_TRY ?? 0x20000)) !== 0)
    throw new Refused('pin', 'one more wrong PIN locks the token, so none is tried')
  const mode = library.CKF_SERIAL_SESSION | (settings.writes ? library.CKF_RW_SESSION : 0)
  const session = module.C_OpenSession(slot, mode)
  module.C_Login(session, library.CKU_USER, settings.pin)
  return { library, module, session }
}

function answerTo(request: TokenRequest, open: OpenToken): Readonly<Record<string, string>> {
  const id = Buffer.from(request.id, 'hex')
  if (request.op === 'generate') return { spki: generate(open, id, request.label) }
  if (request.op === 'destroy') {
    for (const kind of ['CKO_PRIVATE_KEY', 'CKO_PUBLIC_KEY'] as const)
      for (const object of find(open, kind, id)) open.module.C_DestroyObject(open.session, object)
    return {}
  }
  const { library, module, session } = open
  const [key] = find(open, 'CKO_PRIVATE_KEY', id)
  if (key === undefined) throw new Refused('key', 'the token does not have the key')
  const [type] = module.C_GetAttributeValue(session, key, [{ type: library.CKA_KEY_TYPE }])
  const kind = Buffer.isBuffer(type?.value) ? type.value.readUIntLE(0, 4) : -1
  if (kind !== library.CKK_EC) throw new Refused('key', 'the key in the token is of another kind')
  module.C_SignInit(session, { mechanism: library.CKM_ECDSA }, key)
  const digest = Buffer.from(request.digest, 'base64')
  return { signature: module.C_Sign(session, digest, Buffer.alloc(256)).toString('base64') }
}

function generate({ library, module, session }: OpenToken, id: Buffer, label: string): string {
  const own = [
    { type: library.CKA_TOKEN, value: true },
    { type: library.CKA_ID, value: id },
    { type: library.CKA_LABEL, value: label },
  ]
  const { publicKey } = module.C_GenerateKeyPair(
    session,
    { mechanism: library.CKM_EC_KEY_PAIR_GEN },
    [
      ...own,
      { type: library.CKA_VERIFY, value: true },
      { type: library.CKA_EC_PARAMS, value: P256 },
    ],
    [
      ...own,
      { type: library.CKA_PRIVATE, value: true },
      { type: library.CKA_SENSITIVE, value: true },
      { type: library.CKA_EXTRACTABLE, value: false },
      { type: library.CKA_SIGN, value: true },
    ],
  )
  const [found] = module.C_GetAttributeValue(session, publicKey, [{ type: library.CKA_EC_POINT }])
  const point = Buffer.isBuffer(found?.value) ? found.value.subarray(-POINT_BYTES) : Buffer.alloc(0)
  if (point.length !== POINT_BYTES || point[0] !== 4)
    throw new Refused('key', 'the token made a key of another kind')
  return Buffer.concat([SPKI_HEAD, point]).toString('base64')
}

function find(
  { library, module, session }: OpenToken,
  kind: 'CKO_PRIVATE_KEY' | 'CKO_PUBLIC_KEY',
  id: Buffer,
): Buffer[] {
  module.C_FindObjectsInit(session, [
    { type: library.CKA_CLASS, value: library[kind] },
    { type: library.CKA_ID, value: id },
  ])
  try {
    return module.C_FindObjects(session, 2)
  } finally {
    module.C_FindObjectsFinal(session)
  }
}

function refusal(error: unknown): NonNullable<TokenAnswer['error']> {
  const message = error instanceof Error ? error.message.split('\n')[0] : 'it failed'
  const text = (message ?? '').slice(0, 300)
  if (error instanceof Refused) return { kind: error.kind, message: text }
  // CKR_PIN_INCORRECT and those beside it, CKR_PIN_LOCKED
  return { kind: /CKR_PIN_|USER_PIN/.test(text) ? 'pin' : 'token', message: text }
}

function serve(): void {
  let open: OpenToken | null = null
  const say = (answer: TokenAnswer) => void process.stdout.write(`${JSON.stringify(answer)}\n`)
  createInterface({ input: process.stdin }).on('line', (line) => {
    const request: TokenRequest & { readonly settings?: TokenSettings } = JSON.parse(line)
    try {
      if (request.settings !== undefined) {
        open = openToken(request.settings)
        say({ n: request.n, ok: {} })
      } else if (open !== null) say({ n: request.n, ok: answerTo(request, open) })
    } catch (error) {
      say({ n: request.n, error: refusal(error) })
    }
  })
}

serve()
