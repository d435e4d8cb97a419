/** Renews the intermediate without end, each time with a new key. Run by renew-intermediate.test.ts, and killed. */
import { writeSync } from 'node:fs'
import { renewIntermediate } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'

const [, , dir = ''] = process.argv
const passphrase = new Secret(process.env.PASSPHRASE ?? '')
for (;;) {
  const { intermediate } = await renewIntermediate({
    dir,
    passphrase,
    newKey: true,
    keyIterations: 1_000,
  })
  writeSync(1, `${intermediate.fingerprint}\n`)
}
