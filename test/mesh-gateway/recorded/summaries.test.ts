import assert from 'node:assert/strict'
import { createReplay } from '../../../mesh-gateway/src/recorded/replay.ts'
import { policyOf } from '../policy/policies.ts'
import { caseOf, egressLine } from './records.ts'

describe('a summary of refusals that repeat', () => {
  it('counts for as many as it tells of when a recording is replayed', () => {
    const closed = policyOf({ acme: { egress: { allow: [] } } }, 1)
    const open = policyOf({ acme: { egress: { allow: ['api.test'] } } }, 2)
    const traffic = {
      agent: { tenant: 'acme', agent: 'bot-01' },
      host: 'api.test',
      port: 443,
      request: null,
      ip: '192.0.2.1',
      actors: null,
    }
    const line = egressLine(traffic, closed)
    const summary = line.replace(/}$/, ',"repeated":97}')
    const replay = createReplay(open, 10)
    replay.add(caseOf(line))
    replay.add(caseOf(summary))
    const { newlyAllowed, examples } = replay.result()
    assert.equal(newlyAllowed, 98)
    assert.equal(examples.newlyAllowed[0]?.count, 98)
  })
})
