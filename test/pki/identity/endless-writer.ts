/** Writes identities until it is killed. Its first output says that it has begun. */
import { openCa, writeIdentity } from '@clawmesh/pki'
import { PASSPHRASE } from '../scratch.ts'

const [, , caDir = '', dir = ''] = process.argv
const ca = await openCa({ dir: caDir, passphrase: PASSPHRASE })
process.stdout.write('begun\n')
for (;;) await writeIdentity(dir, ca.issueAgent({ tenant: 'acme', agent: 'planner' }))
