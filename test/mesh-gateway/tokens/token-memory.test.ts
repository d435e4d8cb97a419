import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import {
  createTokenMemory,
  type SignedTokenVerifier,
  type TokenSource,
} from '../../../mesh-gateway/src/tokens/token-memory.ts'

interface Claims {
  readonly exp: number
  readonly token: string
}

describe('the memory of verified tokens', () => {
  let nowMs: number
  let setBackMs: number
  let chosen: number
  let memory: SignedTokenVerifier<Claims>
  let sources: Map<string, ReturnType<typeof makeSource>>

  function makeSource() {
    const listeners = new Set<() => void>()
    const state = { verified: 0, gate: Promise.resolve(), untilMs: Infinity }
    const source: TokenSource<Claims> = {
      async verify(token) {
        state.verified += 1
        await state.gate
        return { claims: { exp: nowMs / 1000 + 3600, token }, untilMs: state.untilMs }
      },
      verifies: () => true,
      onChange(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    const change = () => {
      for (const listener of listeners) listener()
    }
    return { ...{ state, source, change }, followers: () => listeners.size }
  }
  const of = (name: string) => sources.get(name) ?? assert.fail(`no source ${name}`)

  beforeEach(() => {
    nowMs = 1_000_000
    setBackMs = 0
    chosen = 0
    sources = new Map(['a', 'b'].map((name) => [name, makeSource()]))
    memory = createTokenMemory<Claims>({
      sources: [...sources.values()].map(({ source }) => source),
      choose(token) {
        chosen += 1
        const found = sources.get(token.slice(0, 1))
        if (found === undefined) throw new MeshError('MESH_TOKEN_ISSUER')
        return found.source
      },
      now: () => nowMs - setBackMs,
      monotonicNow: () => nowMs,
    })
  })
  afterEach(() => memory.close())

  const remembers = (token: string) => memory.verify(token) instanceof Promise === false

  it('asks whose a token is once: what it knows is not looked into', async () => {
    await memory.verify('a1')
    for (let i = 0; i < 100; i += 1) assert.ok(remembers('a1'))
    assert.equal(chosen, 1)
    assert.equal(of('a').state.verified, 1)
  })

  it('forgets those of the issuer whose keys have changed, and of no other', async () => {
    for (const token of ['a1', 'a2', 'b1']) await memory.verify(token)
    of('a').change()
    assert.ok(remembers('b1'))
    assert.ok(!remembers('a1'))
    assert.ok(!remembers('a2'))
  })

  it('keeps nothing that was verified while the keys changed, nor joins it', async () => {
    const gate = Promise.withResolvers<void>()
    of('a').state.gate = gate.promise
    const first = memory.verify('a1')
    assert.equal(memory.verify('a1'), first)
    of('a').change()
    const second = memory.verify('a1')
    assert.notEqual(second, first)
    gate.resolve()
    await first
    await second
    assert.equal(of('a').state.verified, 2)
    // the second began after the change
    assert.ok(remembers('a1'))
    const third = Promise.withResolvers<void>()
    of('b').state.gate = third.promise
    const late = memory.verify('b1')
    of('b').change()
    third.resolve()
    await late
    assert.ok(!remembers('b1'))
  })

  it('keeps none longer than its source says, nor longer than a minute', async () => {
    of('a').state.untilMs = nowMs + 10_000
    await memory.verify('a1')
    await memory.verify('b1')
    nowMs += 9_999
    assert.ok(remembers('a1'))
    nowMs += 1
    assert.ok(!remembers('a1'))
    nowMs += 49_999
    assert.ok(remembers('b1'))
    nowMs += 1
    assert.ok(!remembers('b1'))
  })

  it('keeps none for longer when the clock is set back', async () => {
    await memory.verify('b1')
    setBackMs = 600_000
    nowMs += 59_999
    assert.ok(remembers('b1'))
    nowMs += 1
    assert.ok(!remembers('b1'))
  })

  it('lets go of its sources when it is closed', () => {
    memory.close()
    assert.deepEqual(
      [...sources.values()].map(({ followers }) => followers()),
      [0, 0],
    )
  })

  it('throws for a token of nobody, and remembers nothing of it', () => {
    for (let i = 0; i < 2; i += 1)
      assert.throws(
        () => memory.verify('x1'),
        (error) => error instanceof MeshError && error.code === 'MESH_TOKEN_ISSUER',
      )
    assert.equal(chosen, 2)
  })
})
