/** Which address of a peer gets a call, and which of the sessions to it. */
import assert from 'node:assert/strict'
import { createHeldSessions } from '../../../../mesh-gateway/src/delegation/upstream/held-sessions.ts'
import { createKnownEndpoints } from '../../../../mesh-gateway/src/delegation/upstream/known-endpoints.ts'
import { type Endpoint, keyOf } from '../../../../mesh-gateway/src/delegation/upstream/locate.ts'
import {
  createRanking,
  holderFirst,
  othersFirst,
} from '../../../../mesh-gateway/src/delegation/upstream/ranking.ts'
import type { UpstreamSession } from '../../../../mesh-gateway/src/delegation/upstream/session.ts'

const at = (number: number, priority = 0): Endpoint => ({
  ip: `10.0.0.${number}`,
  port: 7,
  priority,
})
const names = (endpoints: readonly Endpoint[]) =>
  endpoints.map(({ ip }) => ip.replace(/^.*\./, '')).join(' ')

/** A session with so much room. */
function session(room: number, { ip = null as string | null, port = null as number | null } = {}) {
  const said: string[] = []
  let active = 0
  const one: UpstreamSession = {
    ...{ peerId: 'peer', certificate: null, ip, port, replica: null, gone: false },
    get active() {
      return active
    },
    unprocessed: () => false,
    reserve() {
      if (active >= room) return false
      active += 1
      return true
    },
    release() {
      active -= 1
    },
    open: () => assert.fail('nothing is opened here'),
    retire: () => void said.push('retired'),
    destroy: () => void said.push('destroyed'),
  }
  return { one, said }
}

describe('the order of the addresses of a peer', () => {
  const open = (ejected: readonly Endpoint[] = [], load: Readonly<Record<string, number>> = {}) =>
    createRanking({
      mayTry: (key) => !ejected.map(keyOf).includes(key),
      load: (key) => load[key] ?? 0,
    })

  it('takes turns among those that are alike', () => {
    const { rank } = open()
    const all = [at(1), at(2), at(3)]
    const first = Array.from({ length: 6 }, () => names(rank(all)).split(' ')[0])
    assert.deepEqual(first.toSorted(), ['1', '1', '2', '2', '3', '3'])
    assert.equal(new Set(first.slice(0, 3)).size, 3)
    assert.equal(names(all), '1 2 3', 'what was given stays as it is')
    const alone = [at(1)]
    assert.equal(rank(alone), alone)
  })

  it('is by health, then by priority, then by load', () => {
    const all = [at(1, 1), at(2), at(3), at(4)]
    const { rank } = open([at(2)], { [keyOf(at(3))]: 5, [keyOf(at(4))]: 4 })
    for (let turn = 0; turn < 4; turn += 1) assert.equal(names(rank(all)), '4 3 1 2')
  })

  it('has the holder of a delegation first, named by DNS or not, and one that has failed last', () => {
    const all = [at(1), at(2), at(3)]
    assert.equal(holderFirst(all, null), all)
    assert.equal(names(holderFirst(all, at(3, 9))), '3 1 2')
    assert.equal(names(holderFirst(all, at(9))), '9 1 2 3')
    assert.equal(othersFirst(all, undefined), all)
    const failed = (ip: string, port: number) => session(1, { ip, port }).one
    assert.equal(names(othersFirst(all, failed('10.0.0.1', 7))), '2 3 1')
    // another port of the same address is another endpoint
    assert.equal(names(othersFirst(all, failed('10.0.0.1', 8))), '1 2 3')
    assert.equal(names(othersFirst(all, failed('10.0.0.9', 7))), '1 2 3')
  })
})

describe('the sessions that are held to a peer', () => {
  it('are counted by address, until they are closed', () => {
    const held = createHeldSessions()
    const [one, other, far] = [session(9), session(9), session(9)]
    held.add('a', one.one)
    held.add('a', other.one)
    held.add('b', far.one)
    assert.deepEqual([held.size, held.count('a'), held.count('b'), held.count('c')], [2, 2, 1, 0])
    one.one.reserve()
    other.one.reserve()
    other.one.reserve()
    assert.deepEqual([held.load('a'), held.load('b'), held.load('c')], [3, 0, 0])
    held.remove('a', one.one)
    assert.deepEqual([held.size, held.count('a'), held.load('a')], [2, 1, 2])
    held.remove('a', other.one)
    held.remove('c', other.one)
    assert.deepEqual([held.size, held.count('a')], [1, 0])
  })

  it('give a place on the one with the fewest streams, and keep no other', () => {
    const held = createHeldSessions()
    const [busy, quiet] = [session(9).one, session(9).one]
    for (let n = 0; n < 3; n += 1) busy.reserve()
    held.add('a', busy)
    held.add('a', quiet)
    assert.equal(held.reserve('a'), quiet)
    assert.deepEqual([busy.active, quiet.active], [3, 1])
    assert.equal(held.reserve('a', quiet), busy, 'not the one that has failed')
    assert.deepEqual([busy.active, quiet.active], [4, 1])
    assert.equal(held.reserve('b'), null)
  })

  it('give none where all are full', () => {
    const held = createHeldSessions()
    const [full, room] = [session(0).one, session(1).one]
    held.add('a', full)
    assert.equal(held.reserve('a'), null)
    held.add('a', room)
    assert.equal(held.reserve('a'), room)
    assert.equal(held.reserve('a'), null)
    assert.equal(held.reserve('a', room), null)
  })

  it('to addresses that are named no more are retired, and all can be told the same', () => {
    const held = createHeldSessions()
    const [one, other] = [session(1), session(1)]
    held.add('a', one.one)
    held.add('b', other.one)
    held.retireOthers(new Set(['b', 'c']))
    assert.deepEqual([one.said, other.said], [['retired'], []])
    held.each((each) => each.destroy())
    assert.deepEqual([one.said, other.said], [['retired', 'destroyed'], ['destroyed']])
  })
})

describe('the addresses that DNS has named for a peer', () => {
  it('are found by any mark of theirs, by the keys of now', () => {
    let keys = ['x', 'y']
    let generation = 1
    let asked = 0
    const known = createKnownEndpoints(
      {
        of: () => assert.fail('all of them count'),
        all(ip, port) {
          asked += 1
          return keys.map((key) => `${key} ${ip}:${port}`)
        },
        generation: () => generation,
      },
      3,
    )
    for (const number of [1, 2]) known.know(at(number))
    assert.deepEqual(known.byMark('x 10.0.0.1:7'), at(1))
    assert.deepEqual(known.byMark('y 10.0.0.2:7'), at(2))
    assert.equal(known.byMark('z 10.0.0.1:7'), null)
    assert.equal(asked, 2, 'each address was marked once')
    known.know(at(2))
    known.byMark('x 10.0.0.2:7')
    assert.equal(asked, 2, 'nothing is new')
    known.know(at(3))
    assert.deepEqual(known.byMark('x 10.0.0.3:7'), at(3))
    ;[keys, generation] = [['z'], 2]
    assert.equal(known.byMark('x 10.0.0.1:7'), null)
    assert.deepEqual(known.byMark('z 10.0.0.1:7'), at(1))
  })

  it('are so many at most: the one that was named longest ago is forgotten', () => {
    const marks = { of: () => '', all: (ip: string) => [ip], generation: () => 1 }
    const known = createKnownEndpoints(marks, 2)
    known.know(at(1))
    known.know(at(2))
    known.know(at(1))
    known.know(at(3))
    assert.deepEqual(
      [1, 2, 3].map((number) => known.byMark(`10.0.0.${number}`)?.ip ?? null),
      ['10.0.0.1', null, '10.0.0.3'],
    )
  })
})
