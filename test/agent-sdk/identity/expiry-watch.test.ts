/** The end of the own certificate is said when a third of its life is left, when a tenth is, and when it has come: each once. */
import assert from 'node:assert/strict'
import { createSpiffeTemplate, Secret } from '@clawmesh/proto'
import {
  createExpiryWatch,
  describe as fieldsOf,
} from '../../../agent-sdk/src/identity/expiry-watch.ts'
import type { IdentitySnapshot } from '../../../agent-sdk/src/tls/identity-snapshot.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const identity = createSpiffeTemplate({ trustDomain: 'mesh.internal' }).gateway('gw')
const WHOSE = `the certificate of ${identity.id}`
const BEGAN = Date.UTC(2026, 10, 29)

function snapshot(lifeMs: number, generation = 1): IdentitySnapshot {
  return {
    ...{ generation, identity, dnsNames: [], fingerprint: 'ab', certificateChain: '', roots: [] },
    ...{ notBefore: new Date(BEGAN), notAfter: new Date(BEGAN + lifeMs) },
    privateKey: new Secret(''),
  }
}

function watcher() {
  const said: string[] = []
  const fields: object[] = []
  const sayer = (level: string) => (more: object, message: string) => {
    said.push(`${level}: ${message}`)
    fields.push(more)
  }
  const [debug, info, warn, error] = ['debug', 'info', 'warn', 'error'].map(sayer)
  assert.ok(debug && info && warn && error)
  return { watch: createExpiryWatch({ debug, info, warn, error }), said, fields }
}

describe('the end of the own certificate', () => {
  // of a life of 30 hours, 10 are a third and 3 a tenth
  const life = 30 * HOUR
  const at = snapshot(life).notAfter.toISOString()
  const ends = (left: string) => `warn: ${WHOSE} ends at ${at}, in ${left}, and was not renewed`
  const ended = `error: ${WHOSE} has expired and was not renewed: the other side of every new connection refuses it`
  const table: [leftMs: number, line: string | null][] = [
    [life, null],
    [10 * HOUR, null],
    [10 * HOUR - 1, ends('9 hours')],
    [3 * HOUR, ends('3 hours')],
    [3 * HOUR - 1, ends('2 hours')],
    [2 * HOUR, ends('2 hours')],
    [2 * HOUR - 1, ends('119 minutes')],
    [MINUTE, ends('1 minutes')],
    [0, ends('0 minutes')],
    [-1, ended],
    [-life, ended],
  ]
  for (const [leftMs, line] of table)
    it(`${line === null ? 'is not spoken of' : `is a line of the log`} with ${leftMs / HOUR} of 30 hours left`, () => {
      const { watch, said } = watcher()
      watch.look(snapshot(life), BEGAN + life - leftMs)
      assert.deepEqual(said, line === null ? [] : [line])
    })

  it('is said once for each part of its life, and again for another certificate', () => {
    const { watch, said, fields } = watcher()
    // by hours left, how many lines there are then
    const looks: [left: number, lines: number][] = [
      [20, 0],
      [9, 1],
      [8, 1],
      [5, 1],
      [2.9, 2],
      [1, 2],
      [0, 2],
      [-1, 3],
      [-2, 3],
    ]
    for (const [left, lines] of looks) {
      watch.look(snapshot(life), BEGAN + life - left * HOUR)
      assert.equal(said.length, lines, `${left} hours left`)
    }
    assert.deepEqual(said, [ends('9 hours'), ends('2 hours'), ended])
    // the clock is set back: what was said is not said again
    watch.look(snapshot(life), BEGAN + life - 9 * HOUR)
    assert.equal(said.length, 3)
    const expected = { ...fieldsOf(snapshot(life)), hint: /mesh-pki issue/ }
    for (const one of fields) {
      assert.deepEqual({ ...one, hint: expected.hint }, expected)
      assert.ok('hint' in one && expected.hint.test(String(one.hint)))
    }
    watch.look(snapshot(life, 2), BEGAN + life - 20 * HOUR)
    watch.look(snapshot(life, 2), BEGAN + life - 9 * HOUR)
    assert.equal(said.length, 4)
  })

  it('says whose it is and when it is, in fields', () => {
    assert.deepEqual(fieldsOf(snapshot(life, 7)), {
      identity: identity.id,
      generation: 7,
      fingerprint: 'ab',
      not_after: at,
    })
  })
})
