/** A process with two file descriptors left asks a token for a signature, and once more when there are enough. */
import { generateKeyPairSync } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { openTokenLink } from '@clawmesh/proto/pkcs11'

const [pinFile = ''] = process.argv.slice(2)
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const uri = { token: 'none', modulePath: '/nonexistent.so', pinFile }
const link = openTokenLink({ uri, library: 'pkcs11js', retryMs: 0 })

const fault = () =>
  link.sign('00', publicKey, Buffer.from('data')).then(
    () => 'signed',
    (error: unknown) => String(error),
  )

const taken: number[] = []
try {
  for (;;) taken.push(openSync('/dev/null', 'r'))
} catch {
  // all are taken
}
for (const fd of taken.splice(-2)) closeSync(fd)
const without = await fault()
for (const fd of taken) closeSync(fd)
const enough = await fault()
await link.close()
process.stdout.write(JSON.stringify({ without, enough }))
