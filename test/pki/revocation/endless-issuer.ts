/** Issues certificates without end, printing each serial number once it is out. Run by revoke.test.ts, and killed. */
import { X509Certificate } from 'node:crypto'
import { writeSync } from 'node:fs'
import { openCa } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'

const [, , dir = ''] = process.argv
const ca = await openCa({ dir, passphrase: new Secret(process.env.PASSPHRASE ?? '') })
for (;;) {
  const issued = ca.issueAgent({ tenant: 'acme', agent: 'endless' })
  const { serialNumber } = new X509Certificate(issued.certificateChain)
  writeSync(1, `${serialNumber.toLowerCase()}\n`)
}
