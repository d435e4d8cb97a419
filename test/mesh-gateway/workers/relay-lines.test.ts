import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { createLinePasser } from '../../../mesh-gateway/src/workers/relay-lines.ts'
import { waitFor } from '../../support/wait-for.ts'

describe('lines that are passed on', () => {
  let dir: string
  let file: string
  let fd: number
  let dropped: number
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-pass-'))
    file = join(dir, 'out')
    fd = openSync(file, 'a')
    dropped = 0
  })
  afterEach(async () => {
    closeSync(fd)
    await rm(dir, { recursive: true })
  })
  const passer = (to = fd, onHealth: (error: Error | null) => void = () => {}) =>
    createLinePasser({ fd: to, retryMs: 20, onDropped: () => (dropped += 1), onHealth })

  it('are whole, in whatever pieces they come from several at once', async () => {
    const passing = passer()
    const streams = [new PassThrough(), new PassThrough()]
    const done = streams.map((stream) => passing.pass(stream))
    for (let i = 0; i < 200; i += 1)
      for (const [number, stream] of streams.entries()) {
        const line = `${number}:${i}:${'x'.repeat(i * 40)}\n`
        const cut = (i * 37) % line.length
        stream.write(line.slice(0, cut))
        if (i % 3 === 0) await turn()
        stream.write(line.slice(cut))
      }
    for (const stream of streams) stream.end()
    await Promise.all(done)
    await passing.close()
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    for (const number of [0, 1])
      assert.deepEqual(
        lines.filter((line) => line.startsWith(`${number}:`)),
        Array.from({ length: 200 }, (_, i) => `${number}:${i}:${'x'.repeat(i * 40)}`),
      )
    assert.equal(lines.length, 400)
    assert.equal(dropped, 0)
  })

  it('what was begun by one that was killed is not passed on, and counted', async () => {
    const passing = passer()
    const stream = new PassThrough()
    const done = passing.pass(stream)
    stream.write('one\ntwo\nthr')
    stream.end()
    await done
    assert.equal(await readFile(file, 'utf8'), 'one\ntwo\n')
    assert.equal(dropped, 1)
  })

  it('what has no end is not gathered, and the lines after it are passed on', async () => {
    const passing = passer()
    const stream = new PassThrough()
    const done = passing.pass(stream)
    stream.write('one\n')
    for (let i = 0; i < 40; i += 1) {
      // a pipe gives as much at a time, and not all of it at once
      if (!stream.write('x'.repeat(65_536))) await once(stream, 'drain')
      await turn()
    }
    stream.write('y\ntwo\n')
    stream.end()
    await done
    assert.equal(await readFile(file, 'utf8'), 'one\ntwo\n')
    assert.equal(dropped, 1)
  })

  it('wait with who wrote them while nothing can be written, and nobody is waited for at the end', async () => {
    const full = openSync('/dev/full', 'a')
    const health: (string | null)[] = []
    const passing = passer(full, (error) => health.push(error === null ? null : 'fails'))
    const stream = new PassThrough({ highWaterMark: 1024 })
    void passing.pass(stream)
    let taken = 0
    while (taken < 100_000 && stream.write(`${'x'.repeat(100)}\n`)) {
      taken += 101
      await turn()
    }
    try {
      assert.ok(taken < 100_000, 'it was read on and on')
      await waitFor('it to be said', () => health.length > 0)
      assert.deepEqual(health, ['fails'])
      assert.equal(passing.healthy(), false)
    } finally {
      stream.end()
      await passing.close()
      closeSync(full)
    }
  })
})
