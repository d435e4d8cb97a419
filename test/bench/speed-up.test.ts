import assert from 'node:assert/strict'
import { mostSpeedUp } from '../../bench/measure/speed-up.ts'

describe('what a second worker can bring at most', () => {
  it('is what the machine has left beside load and origin', () => {
    assert.equal(mostSpeedUp({ cores: 2, own: 60, rest: 20 }), 1.5)
    assert.equal(mostSpeedUp({ cores: 2, own: 60, rest: 0 }), 2)
  })

  it('is twice as much where there are cores enough', () => {
    assert.equal(mostSpeedUp({ cores: 8, own: 60, rest: 20 }), 2)
  })

  it('is nothing where one worker and its load fill the machine', () => {
    assert.equal(mostSpeedUp({ cores: 1, own: 60, rest: 20 }), 1)
    assert.equal(mostSpeedUp({ cores: 2, own: 20, rest: 60 }), 1)
  })
})
