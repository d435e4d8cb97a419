/** A script that waits for the answer of a gateway. Arguments: port, directory of its identity, and the file that says that the gateway ends. */
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway, openIdentity } from '@clawmesh/agent-sdk/mesh'
import { uuidV7 } from '@clawmesh/proto'
import { createConnection } from '../../../../agent-sdk/src/client/connection.ts'
import { methods } from '../../../../agent-sdk/src/client/methods.ts'
import { spiffe } from '../../../support/test-ca.ts'
import { readNothingUntil } from './read-nothing.ts'

const [port, dir = '', marker = ''] = process.argv.slice(2)
const store = await openIdentity({ dir, spiffe })
const connection = createConnection({
  ...{ target: `127.0.0.1:${port}`, store },
  credentials: () => channelCredentials(store, { spiffe, expect: checkIsGateway }),
  contact: { beginEndless() {}, failed() {}, close() {} },
})
const stream = connection.stream(
  methods.watch,
  { delegation_id: uuidV7(), after_seq: 0 },
  { authority: 'peer.acme.mesh.internal' },
)
stream.resume()
stream.once('metadata', () => {
  process.send?.('go')
  setTimeout(() => readNothingUntil(marker), 20)
})
const code = await new Promise((resolve) =>
  stream.once('error', (error) => resolve(Reflect.get(error, 'code'))),
)
process.stdout.write(`${code}\n`)
connection.close()
await store.close()
