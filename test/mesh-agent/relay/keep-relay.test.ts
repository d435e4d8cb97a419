/** A relay that cannot even be started is the operator's to hear of, and never the end of its host. */
import assert from 'node:assert/strict'
import { keepRelay } from '@clawmesh/agent/relay'
import { silentLog } from '@clawmesh/agent-sdk'
import { waitFor } from '../../support/wait-for.ts'

describe('a relay that is kept beside a host', () => {
  for (const [what, file, why] of [
    ['a program that is not there', '/no/such/program', /ENOENT/],
    ['arguments that no process can have', 'a\0b', /null bytes/],
  ] as const)
    it(`is tried again, and its host goes on, with ${what}`, async () => {
      const said: string[] = []
      const kept = keepRelay({
        ...{ identity: '/x', gateway: '127.0.0.1:1', egress: 'http://127.0.0.1:2' },
        ...{ listen: '127.0.0.1:0', secretFile: '/x/secret', env: {} },
        command: [file],
        log: { ...silentLog, warn: (_fields: object, message: string) => void said.push(message) },
      })
      await waitFor('a second try', () => said.length >= 2)
      await kept.close()
      assert.equal(kept.state, null)
      assert.match(said[0] ?? '', why)
    })
})
