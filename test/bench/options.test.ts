import assert from 'node:assert/strict'
import { type BenchOptions, parseOptions } from '../../bench/options.ts'

const options = (...args: string[]): BenchOptions => {
  const parsed = parseOptions(args)
  assert.ok('options' in parsed, JSON.stringify(parsed))
  return parsed.options
}
const fault = (...args: string[]): string => {
  const parsed = parseOptions(args)
  assert.ok('fault' in parsed, args.join(' '))
  return parsed.fault
}

describe('options of the bench', () => {
  it('run everything by default, in at least five rounds', () => {
    const { suites, rounds, quick, write } = options()
    assert.deepEqual(suites, [
      ...['delegation', 'latency', 'chains', 'streams', 'cuts'],
      ...['egress', 'tunnel', 'tunnels-idle', 'workers', 'idle'],
    ])
    assert.deepEqual({ quick, write }, { quick: false, write: false })
    assert.ok(rounds >= 5)
  })

  it('run one round when it must be quick, and some suites when asked', () => {
    assert.equal(options('--quick').rounds, 1)
    assert.deepEqual(options('--only', 'idle', '--only', 'tunnel').suites, ['idle', 'tunnel'])
  })

  it('refuse what they do not know, with the option named', () => {
    assert.match(fault('--only', 'lunch'), /--only.*"lunch"/)
    for (const rounds of ['0', '101', 'x', '1.5'])
      assert.match(fault('--rounds', rounds), /--rounds/)
    assert.match(fault('--quick', '--write'), /--write/)
    assert.match(fault('--fast'), /--fast/)
    assert.match(fault('please'), /please/)
  })
})
