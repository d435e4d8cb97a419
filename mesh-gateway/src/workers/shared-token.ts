/**
 * The token of the signing keys (PKCS #11), which the supervisor alone is logged in to: a wrong PIN is tried once, and not
 * once for each worker. Workers have it sign by messages.
 */
import { createPublicKey } from 'node:crypto'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { TokenLink } from '@clawmesh/proto/pkcs11'
import type { Config } from '../config/schema.ts'
import { createAwaitedAnswers } from './awaited-answers.ts'
import { fromFault, toFault } from './faults.ts'
import type { FromWorker, Sign, Signed } from './messages.ts'

/** The link itself gives up before. In milliseconds. */
const ANSWER_MS = 60_000

/** Makes the first keys, where there are none. Null where keys are files. @throws MeshError MESH_HSM_*, MESH_KEYS_UNUSABLE */
export async function openSharedToken(
  { dir, pkcs11 }: Config['keys'],
  log: Pick<Log, 'info'>,
): Promise<TokenLink | null> {
  if (pkcs11 === null) return null
  const [{ keyToken, keyTokenLink }, { ensureRing }] = await Promise.all([
    import('../tokens/key-token.ts'),
    import('../tokens/rotate-keys.ts'),
  ])
  if (await ensureRing({ dir, token: keyToken(pkcs11) })) log.info({ dir }, 'signing keys made')
  return keyTokenLink(pkcs11)
}

/** Signs what a worker asks for. */
export async function signFor(token: TokenLink | null, asked: Sign): Promise<Signed> {
  const { id, key, publicKey, data } = asked
  try {
    if (token === null) throw new TypeError('a worker asks for a token where keys are files')
    const spki = createPublicKey({
      ...{ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' },
    })
    const signature = await token.sign(key, spki, Buffer.from(data, 'base64'))
    return { kind: 'signed', id, signature: signature.toString('base64'), fault: null }
  } catch (error) {
    return { kind: 'signed', id, signature: '', fault: toFault(error) }
  }
}

export interface TokenOfSupervisor extends TokenLink {
  answered(signed: Signed): void
}

/** The token as a worker sees it. @param post false when there is no supervisor any more */
export function tokenFromSupervisor(post: (message: FromWorker) => boolean): TokenOfSupervisor {
  const answers = createAwaitedAnswers<Signed>()
  let failure: Error | null = null
  return {
    async sign(key, publicKey, data) {
      const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
      const text = Buffer.from(data).toString('base64')
      const ask = (id: number) => {
        if (!post({ kind: 'sign', id, key, publicKey: spki, data: text }))
          answers.answered(id, null)
      }
      const signed = await answers.ask(ask, ANSWER_MS)
      if (signed === null || signed.fault !== null) {
        failure = signed?.fault ? fromFault(signed.fault, 'a signature failed') : gone()
        throw failure
      }
      failure = null
      return Buffer.from(signed.signature, 'base64')
    },
    problem: () => failure?.message ?? null,
    answered: (signed) => answers.answered(signed.id, signed),
    close: async () => answers.end(),
  }
}

function gone(): MeshError {
  return new MeshError(
    'MESH_HSM_UNAVAILABLE',
    'the process that is logged in to the token has gone',
  )
}
