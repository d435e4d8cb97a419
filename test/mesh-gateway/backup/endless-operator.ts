/**
 * Rotates keys, creates and revokes service accounts, and revokes tokens, without end. Prints each revocation once it is
 * done. Run by backup.test.ts with the directory of keys, the file of accounts and the list, and ended by it.
 */
import { writeSync } from 'node:fs'
import { addToList } from '../../../mesh-gateway/src/revocation/list-file.ts'
import { rotateRing } from '../../../mesh-gateway/src/tokens/rotate-keys.ts'
import {
  createServiceAccount,
  revokeServiceAccount,
} from '../../../mesh-gateway/src/tokens/service-accounts.ts'

const [, , dir = '', accounts = '', list = ''] = process.argv
for (let round = 0; ; round += 1) {
  await rotateRing({ dir, overlapMs: 60_000 })
  const wanted = { tenant: 'acme', agent: 'bot', destinations: null }
  const { account } = await createServiceAccount(accounts, wanted)
  await revokeServiceAccount(accounts, account.id)
  const value = `jti-${round}`
  const since = new Date().toISOString()
  await addToList(list, { kind: 'token', value, reason: null, since, until: null }, Date.now())
  writeSync(1, `${account.id} ${value}\n`)
}
