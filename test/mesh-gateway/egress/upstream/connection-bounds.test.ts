import assert from 'node:assert/strict'
import { createConnectionBounds } from '../../../../mesh-gateway/src/egress/upstream/connection-bounds.ts'

describe('the bounds of connections', () => {
  it('hold for each agent and each destination, and a refusal leaves nothing counted', () => {
    const bounds = createConnectionBounds({ perDestination: 1, perAgent: 2 })
    const leave = bounds.enter('acme/bot-01', 'api.test:443')
    assert.ok(typeof leave === 'function')
    for (let again = 0; again < 5; again += 1)
      assert.equal(bounds.enter('acme/bot-02', 'api.test:443'), 'connections-per-destination')
    assert.equal(typeof bounds.enter('acme/bot-02', 'one.test:443'), 'function')
    assert.equal(typeof bounds.enter('acme/bot-02', 'two.test:443'), 'function')
    assert.equal(bounds.enter('acme/bot-02', 'three.test:443'), 'connections-per-agent')
    assert.equal(typeof bounds.enter('acme/bot-01', 'three.test:443'), 'function')
    // once, however often it is said
    leave()
    leave()
    assert.equal(typeof bounds.enter('acme/bot-01', 'api.test:443'), 'function')
    assert.equal(bounds.enter('acme/bot-01', 'four.test:443'), 'connections-per-agent')
  })
})
