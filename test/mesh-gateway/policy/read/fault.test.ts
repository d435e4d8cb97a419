/** The faults of a policy directory in lines, with their places, and an end to them. */
import assert from 'node:assert/strict'
import {
  countFaults,
  formatFault,
  policyInvalid,
} from '../../../../mesh-gateway/src/policy/read/fault.ts'
import type { PolicyFault } from '../../../../mesh-gateway/src/policy/read/fault-shape.ts'

const fault = (more: Partial<PolicyFault> = {}): PolicyFault => ({
  ...{ file: 'acme.json', pointer: '/egress', line: 3, column: 12, message: 'is wrong' },
  ...more,
})

describe('the faults of policy', () => {
  it('have the place that is known of them', () => {
    assert.equal(formatFault(fault()), 'acme.json:3:12 #/egress: is wrong')
    assert.equal(formatFault(fault({ pointer: '' })), 'acme.json:3:12: is wrong')
    assert.equal(
      formatFault(fault({ line: null, column: null, pointer: '' })),
      'acme.json: is wrong',
    )
    assert.equal(formatFault(fault({ message: 'a\u001b[2J' })), 'acme.json:3:12 #/egress: a?[2J')
  })

  it('are counted, and the files that have them', () => {
    assert.equal(countFaults([fault()]), '1 fault in 1 file')
    assert.equal(countFaults([fault(), fault()]), '2 faults in 1 file')
    assert.equal(countFaults([fault(), fault({ file: 'b.json' })]), '2 faults in 2 files')
  })

  it('are fifty lines of an error at most, and then how many more there are', () => {
    const of = (count: number) =>
      policyInvalid(
        '/etc/policy',
        Array.from({ length: count }, (_, line) => fault({ line })),
      )
    const lines = (count: number) => of(count).message.split('\n')
    assert.deepEqual(lines(2), [
      'policy: 2 faults in 1 file of /etc/policy',
      '  acme.json:0:12 #/egress: is wrong',
      '  acme.json:1:12 #/egress: is wrong',
    ])
    assert.equal(lines(50).length, 51)
    assert.equal(lines(50).at(-1), '  acme.json:49:12 #/egress: is wrong')
    assert.equal(lines(51).length, 52)
    assert.equal(lines(51).at(-1), '  and 1 more')
    assert.equal(of(1).code, 'MESH_POLICY_INVALID')
    assert.match(of(1).hint, /mesh-gateway policy check \/etc\/policy/)
  })
})
