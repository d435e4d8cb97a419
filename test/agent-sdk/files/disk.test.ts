import assert from 'node:assert/strict'
import { createDisk } from '../../../agent-sdk/src/files/disk.ts'

/** Work that ends when it is told to, and counts how often it was begun. */
function work() {
  const answer = Promise.withResolvers<string>()
  const counted = { begun: 0, answer: answer.resolve, fail: answer.reject, run }
  function run(): Promise<string> {
    counted.begun += 1
    return answer.promise
  }
  return counted
}

const noAnswer = { code: 'NO_ANSWER' }

describe('the disk', () => {
  it('gives what the work gives, or its error', async () => {
    const disk = createDisk()
    assert.equal(await disk.run('/a/x', async () => 7), 7)
    await assert.rejects(
      disk.run('/a/x', () => {
        throw new TypeError('no')
      }),
      TypeError,
    )
    assert.deepEqual(disk.hanging(), [])
  })

  it('has one question open for each directory, and a few for all', async () => {
    const disk = createDisk({ width: 2 })
    const [a, again, b, c] = [work(), work(), work(), work()]
    const asked = [
      disk.run('/a/1', a.run),
      disk.run('/a/2', again.run),
      disk.run('/b/1', b.run),
      disk.run('/c/1', c.run),
    ]
    assert.deepEqual([a.begun, again.begun, b.begun, c.begun], [1, 0, 1, 0])
    b.answer('b')
    assert.equal(await asked[2], 'b')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([a.begun, again.begun, c.begun], [1, 0, 1])
    for (const one of [a, again, c]) one.answer('x')
    await Promise.all(asked)
  })

  it('does not ask a directory again that has not answered, until it has', async () => {
    const disk = createDisk({ timeoutMs: 20 })
    const [hung, queued, later, other] = [work(), work(), work(), work()]
    const first = disk.run('/a/1', hung.run)
    const second = disk.run('/a/2', queued.run)
    await assert.rejects(first, noAnswer)
    await assert.rejects(second, noAnswer)
    await assert.rejects(disk.run('/a/3', later.run), noAnswer)
    assert.deepEqual([hung.begun, queued.begun, later.begun], [1, 0, 0])
    assert.deepEqual(disk.hanging(), ['/a/1'])
    other.answer('b')
    assert.equal(await disk.run('/b/1', other.run), 'b')
    hung.fail(new Error('too late, and nobody waits for it'))
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(disk.hanging(), [])
    later.answer('a')
    assert.equal(await disk.run('/a/3', later.run), 'a')
  })

  it('lets no more hang than it is wide, and then asks nobody', async () => {
    const disk = createDisk({ timeoutMs: 20, width: 2 })
    const [a, b, c, d] = [work(), work(), work(), work()]
    const asked = [disk.run('/a/1', a.run), disk.run('/b/1', b.run), disk.run('/c/1', c.run)]
    for (const one of asked) await assert.rejects(one, noAnswer)
    await assert.rejects(disk.run('/d/1', d.run), noAnswer)
    assert.deepEqual([a.begun, b.begun, c.begun, d.begun], [1, 1, 0, 0])
    a.answer('a')
    await new Promise((resolve) => setImmediate(resolve))
    d.answer('d')
    assert.equal(await disk.run('/d/1', d.run), 'd')
    b.answer('b')
  })

  it('asks a directory again after a while, once: another mount may be there by then', async () => {
    const disk = createDisk({ timeoutMs: 10, againMs: 10, width: 9 })
    const [first, second, third, other] = [work(), work(), work(), work()]
    await assert.rejects(disk.run('/a/1', first.run), noAnswer)
    await assert.rejects(disk.run('/a/2', second.run), noAnswer)
    assert.equal(second.begun, 0)
    await new Promise((resolve) => setTimeout(resolve, 30))
    await assert.rejects(disk.run('/a/2', second.run), noAnswer)
    assert.equal(second.begun, 1)
    await new Promise((resolve) => setTimeout(resolve, 30))
    await assert.rejects(disk.run('/a/3', third.run), noAnswer)
    assert.equal(third.begun, 0)
    assert.deepEqual(disk.hanging(), ['/a/1', '/a/2'])
    other.answer('b')
    assert.equal(await disk.run('/b/1', other.run), 'b')
    second.answer('a')
    await new Promise((resolve) => setImmediate(resolve))
    third.answer('a')
    assert.equal(await disk.run('/a/3', third.run), 'a')
    first.answer('a')
  })
})
